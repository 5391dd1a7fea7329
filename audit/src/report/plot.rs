//! The plots, as SVG that takes the page's ink: black becomes the colour of the text, light or dark.

use plotters::{
    backend::{DrawingBackend, SVGBackend},
    chart::ChartBuilder,
    coord::{Shift, combinators::IntoLogRange as _},
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _},
    element::{Circle, PathElement, Text},
    series::{DashedLineSeries, LineSeries},
    style::{
        BLACK, Color as _, IntoFont as _, RGBColor, ShapeStyle, TRANSPARENT, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

/// A line of a plot.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// What the legend says.
    pub(super) name: String,
    /// Abscissa and share, both above zero.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether it is what was published, and not what came out.
    pub(super) is_claim: bool,
}

/// Colours that stand out on light and on dark ground.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0xd1, 0x49, 0x5b),
    RGBColor(0x2f, 0x86, 0xc5),
    RGBColor(0x2a, 0x9d, 0x6f),
    RGBColor(0xd9, 0x8b, 0x1f),
    RGBColor(0x8e, 0x6c, 0xc9),
    RGBColor(0x7a, 0x8a, 0x93),
    RGBColor(0xb0, 0x7d, 0x62),
];
/// The plot without its legend, pixels, and a line of the legend.
const SIZE: (u32, u32) = (960, 440);
const LEGEND: u32 = 22;
/// The least share shown: what is below is drawn there.
const LEAST: f64 = 1e-5;

/// Draws series on logarithmic axes. What the abscissa is, and how its values are written.
///
/// # Errors
/// What the library says.
pub(super) fn draw(
    series: &[Series],
    abscissa: &str,
    words: &dyn Fn(f64) -> String,
) -> Result<String, String> {
    let mut svg = String::new();
    let lines = u32::try_from(series.len()).unwrap_or(0);
    let size = (SIZE.0, SIZE.1 + LEGEND * lines + LEGEND / 2);
    let ends = series.iter().flat_map(|series| &series.points).map(|(x, _)| *x);
    let (from, to) = ends.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
    if from >= to {
        return Ok(svg);
    }
    {
        let whole = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let (area, below) = whole.split_vertically(SIZE.1);
        let error = |error: &dyn std::fmt::Display| error.to_string();
        whole.fill(&TRANSPARENT).map_err(|e| error(&e))?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(48)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .build_cartesian_2d((from..to).log_scale(), (LEAST..1.0).log_scale())
            .map_err(|e| error(&e))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.15))
            .axis_style(BLACK.mix(0.5))
            .label_style(text(15.0))
            .x_desc(abscissa)
            .y_desc("linked")
            .axis_desc_style(text(15.0))
            .x_label_formatter(&|x| words(*x))
            .y_label_formatter(&|y| percent(*y))
            .draw()
            .map_err(|e| error(&e))?;
        for (number, line) in series.iter().enumerate() {
            let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or(BLACK);
            let style = ShapeStyle::from(&colour).stroke_width(2);
            let points: Vec<(f64, f64)> =
                line.points.iter().map(|(x, y)| (*x, y.max(LEAST))).collect();
            explain(&below, number, line, style).map_err(|e| error(&e))?;
            if line.is_claim {
                let dashes = DashedLineSeries::new(points.clone(), 6, 5, style);
                chart.draw_series(dashes).map_err(|e| error(&e))?;
            } else {
                let solid = LineSeries::new(points.clone(), style);
                chart.draw_series(solid).map_err(|e| error(&e))?;
                let dots = points.into_iter().map(|point| Circle::new(point, 3, colour.filled()));
                chart.draw_series(dots).map_err(|e| error(&e))?;
            }
        }
        whole.present().map_err(|e| error(&e))?;
    }
    Ok(themed(&svg, size))
}

/// Draws a line of the legend, which stands below: on the plot it would hide a line wherever it stood.
fn explain<B: DrawingBackend>(
    below: &DrawingArea<B, Shift>,
    number: usize,
    line: &Series,
    style: ShapeStyle,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let y = i32::try_from(number).unwrap_or(0) * i32::try_from(LEGEND).unwrap_or(0) + 10;
    let pieces: &[_] = if line.is_claim { &[(80, 87), (92, 99), (104, 110)] } else { &[(80, 110)] };
    for (from, to) in pieces {
        below.draw(&PathElement::new(vec![(*from, y), (*to, y)], style))?;
    }
    let name = text(14.0).pos(Pos::new(HPos::Left, VPos::Center));
    below.draw(&Text::new(line.name.clone(), (120, y), name))
}

fn text(size: f64) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK)
}

/// A share in words: `2 %`, `0.01 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 {
        format!("{percent:.0} %")
    } else if percent >= 0.1 {
        format!("{} %", trimmed(&format!("{percent:.2}")))
    } else {
        format!("{} %", trimmed(&format!("{percent:.3}")))
    }
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Makes an SVG scale with the page and take its ink.
pub(super) fn themed(svg: &str, (width, height): (u32, u32)) -> String {
    let fixed = format!("width=\"{width}\" height=\"{height}\"");
    svg.replace("#000000", "currentColor")
        .replacen(&fixed, &format!("viewBox=\"0 0 {width} {height}\" role=\"img\""), 1)
        .replacen(
            &format!(" viewBox=\"0 0 {width} {height}\""),
            "",
            usize::from(svg.contains("viewBox")),
        )
}
