//! The coalitions as a chart: a row for each role, a column for each coalition, dots where a role is in it. Columns do not
//! cross, however many there are.

use std::collections::{BTreeMap, BTreeSet};

use plotters::{
    backend::SVGBackend,
    drawing::IntoDrawingArea as _,
    element::{Circle, PathElement, Text},
    style::{
        BLACK, Color as _, IntoFont as _, RGBColor, TRANSPARENT,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::plot::themed;
use crate::{live::SchemeFindings, role::Strength};

/// Pixels: the whole, the room for the roles' names, a row, and what is left at the edges.
const WIDTH: i32 = 960;
const NAMES: i32 = 190;
const ROW: i32 = 24;
const MARGIN: i32 = 18;
/// The most pixels between two columns.
const COLUMN: i32 = 44;

/// By value, and by a node in common.
const STRONG: RGBColor = RGBColor(0xd1, 0x49, 0x5b);
const WEAK: RGBColor = RGBColor(0x2f, 0x86, 0xc5);

/// A set of roles by function, without the channels: its strength at best.
type Sets = BTreeMap<BTreeSet<String>, Strength>;

/// The roles of the rows, those that are told who sends first and those that are told for whom last, and the columns: the
/// surest links first, then the smallest sets.
struct Chart {
    roles: Vec<String>,
    columns: Vec<(BTreeSet<String>, Strength)>,
}

impl Chart {
    fn of(found: &SchemeFindings) -> Self {
        let mut sets = Sets::new();
        for coalition in &found.coalitions {
            let roles = coalition.roles.iter().map(crate::role::Role::function).collect();
            let strength = sets.entry(roles).or_insert(coalition.strength);
            *strength = coalition.strength.min(*strength);
        }
        let roles: BTreeSet<String> = sets.keys().flatten().cloned().collect();
        let mut roles: Vec<String> = roles.into_iter().collect();
        let side = |role: &String| {
            i32::from(found.recipient_ends.contains(role))
                - i32::from(found.sender_ends.contains(role))
        };
        roles.sort_by_key(|role| (side(role), role.clone()));
        let mut columns: Vec<_> = sets.into_iter().collect();
        columns.sort_by_key(|(set, strength)| (*strength, set.len(), set.clone()));
        Self { roles, columns }
    }

    /// The places of a column's dots, from the top.
    fn rows_of(&self, set: &BTreeSet<String>) -> Vec<i32> {
        let places = (0..).zip(&self.roles).filter(|(_, role)| set.contains(*role));
        places.map(|(row, _)| MARGIN + ROW * row + ROW / 2).collect()
    }
}

/// Draws the minimal coalitions of a scheme; roles of several channels are one.
///
/// # Errors
/// What the library says.
pub(super) fn draw(found: &SchemeFindings) -> Result<String, String> {
    let chart = Chart::of(found);
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let height = 2 * MARGIN + ROW * count(chart.roles.len());
    let step = ((WIDTH - NAMES - 2 * MARGIN) / count(chart.columns.len()).max(1)).min(COLUMN);
    let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let error = |error: &dyn std::fmt::Display| error.to_string();
        area.fill(&TRANSPARENT).map_err(|e| error(&e))?;
        let font = ("sans-serif", 14.0).into_font().color(&BLACK);
        let name = font.pos(Pos::new(HPos::Right, VPos::Center));
        let end = NAMES + step * count(chart.columns.len());
        for (row, role) in (0..).zip(&chart.roles) {
            let y = MARGIN + ROW * row + ROW / 2;
            let line = PathElement::new(vec![(NAMES, y), (end, y)], BLACK.mix(0.12));
            area.draw(&line).map_err(|e| error(&e))?;
            let label = Text::new(role.clone(), (NAMES - 12, y), &name);
            area.draw(&label).map_err(|e| error(&e))?;
        }
        for (column, (set, strength)) in (0..).zip(&chart.columns) {
            let x = NAMES + step * column + step / 2;
            let colour = if *strength == Strength::Value { STRONG } else { WEAK };
            let rows = chart.rows_of(set);
            if let (Some(top), Some(bottom)) = (rows.first(), rows.last()) {
                let style = colour.stroke_width(2);
                let line = PathElement::new(vec![(x, *top), (x, *bottom)], style);
                area.draw(&line).map_err(|e| error(&e))?;
            }
            for y in rows {
                // Filled for the surer links: not by colour alone.
                let style = if *strength == Strength::Value {
                    colour.filled()
                } else {
                    colour.stroke_width(2)
                };
                area.draw(&Circle::new((x, y), 5, style)).map_err(|e| error(&e))?;
            }
        }
        area.present().map_err(|e| error(&e))?;
    }
    Ok(themed(&svg, size))
}
