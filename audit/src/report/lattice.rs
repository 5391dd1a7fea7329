//! The lattice of coalitions: roles below, pairs above them, triples on top, each joined to its roles.

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
use crate::live::{SchemeFindings, Strength};

/// Pixels.
const WIDTH: i32 = 960;
const HEIGHT: i32 = 380;
/// Where roles stand, and what each further member of a set adds.
const FLOOR: i32 = 300;
const STOREY: i32 = 110;
const MARGIN: i32 = 60;

/// By value, and by a node in common.
const STRONG: RGBColor = RGBColor(0xd1, 0x49, 0x5b);
const WEAK: RGBColor = RGBColor(0x2f, 0x86, 0xc5);

/// A set of roles by function, without the channels: its strength at best.
type Sets = BTreeMap<BTreeSet<String>, Strength>;

/// Draws the minimal coalitions of a scheme; roles of several channels are one.
///
/// # Errors
/// What the library says.
pub(super) fn draw(found: &SchemeFindings) -> Result<String, String> {
    let mut sets = Sets::new();
    for coalition in &found.coalitions {
        let roles = coalition.roles.iter().map(crate::live::Role::function).collect();
        let strength = sets.entry(roles).or_insert(coalition.strength);
        *strength = coalition.strength.min(*strength);
    }
    // Told who sends on the left, told for whom on the right.
    let mut roles: Vec<&String> =
        sets.keys().flatten().collect::<BTreeSet<_>>().into_iter().collect();
    let side = |role: &str| {
        i32::from(found.recipient_ends.contains(role)) - i32::from(found.sender_ends.contains(role))
    };
    roles.sort_by_key(|role| (side(role), (*role).clone()));
    let places = spread(roles.len());
    let place: BTreeMap<&str, i32> =
        roles.iter().zip(&places).map(|(role, x)| (role.as_str(), *x)).collect();
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let error = |error: &dyn std::fmt::Display| error.to_string();
        area.fill(&TRANSPARENT).map_err(|e| error(&e))?;
        for storey in 2..=3_usize {
            let mut here: Vec<(&BTreeSet<String>, Strength)> =
                sets.iter().filter(|(set, _)| set.len() == storey).map(|(s, t)| (s, *t)).collect();
            let middle = |set: &BTreeSet<String>| {
                let all: Vec<i32> =
                    set.iter().filter_map(|role| place.get(role.as_str())).copied().collect();
                all.iter().sum::<i32>() / i32::try_from(all.len().max(1)).unwrap_or(1)
            };
            here.sort_by_key(|(set, _)| middle(set));
            let y = FLOOR - STOREY * i32::try_from(storey - 1).unwrap_or(1);
            for ((set, strength), x) in here.iter().zip(spread(here.len())) {
                let colour = if *strength == Strength::Value { STRONG } else { WEAK };
                for role in *set {
                    let Some(below) = place.get(role.as_str()) else { continue };
                    let line = if *strength == Strength::Value {
                        vec![vec![(x, y), (*below, FLOOR)]]
                    } else {
                        dashes((x, y), (*below, FLOOR))
                    };
                    for piece in line {
                        let style = colour.mix(0.55).stroke_width(1);
                        area.draw(&PathElement::new(piece, style)).map_err(|e| error(&e))?;
                    }
                }
                area.draw(&Circle::new((x, y), 6, colour.filled())).map_err(|e| error(&e))?;
            }
        }
        let font = ("sans-serif", 14.0).into_font().color(&BLACK);
        let slanted = font.pos(Pos::new(HPos::Center, VPos::Top));
        for (number, (role, x)) in roles.iter().zip(&places).enumerate() {
            area.draw(&Circle::new((*x, FLOOR), 5, BLACK.filled())).map_err(|e| error(&e))?;
            // Neighbours' names would run into each other on one line.
            let y = FLOOR + 12 + 20 * i32::try_from(number % 3).unwrap_or(0);
            let label = Text::new((*role).clone(), (*x, y), &slanted);
            area.draw(&label).map_err(|e| error(&e))?;
        }
        area.present().map_err(|e| error(&e))?;
    }
    Ok(themed(&svg, (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs())))
}

/// So many places, evenly.
fn spread(count: usize) -> Vec<i32> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let room = WIDTH - 2 * MARGIN;
    (0..count).map(|n| MARGIN + (2 * n + 1) * room / (2 * count.max(1))).collect()
}

fn dashes((x1, y1): (i32, i32), (x2, y2): (i32, i32)) -> Vec<Vec<(i32, i32)>> {
    const PIECES: i32 = 40;
    let at = |n: i32| (x1 + (x2 - x1) * n / PIECES, y1 + (y2 - y1) * n / PIECES);
    (0..PIECES).step_by(2).map(|n| vec![at(n), at(n + 1)]).collect()
}
