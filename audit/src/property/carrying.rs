//! What a go-between does to cells: whoever sees those that enter and those that leave it must not be able to
//! tell by their bytes which belong together, or that any do.

use anon::{
    position::Key,
    request::{Request, Response},
    secretbox,
};
use clap::ValueEnum;
use rand::rngs::StdRng;

use super::{
    family::{Check, Family, Seen, Tried},
    path::Path,
    world::{nodes, shared_windows},
};

/// A cell as it entered a go-between, and as it left.
pub(super) type Passed = (Vec<u8>, Vec<u8>);

/// How a go-between carries cells.
pub(super) trait Carrying {
    /// The cells of some messages on their way through the first go-between of a path.
    fn carry(&self, rng: &mut StdRng) -> Option<Vec<Passed>>;
}

/// Cells of one channel.
const CELLS: usize = 24;
/// Bytes in a row that two unrelated cells never have in common: a chance of 2^-64 for each pair of places.
const WINDOW: usize = 8;

/// The project's own go-between.
struct Real;

impl Carrying for Real {
    fn carry(&self, rng: &mut StdRng) -> Option<Vec<Passed>> {
        let mut path = Path::over(&nodes(3, rng)?, rng)?;
        let mut passed = Vec::new();
        while passed.len() < CELLS {
            let request = Request::Fetch { key: Key([7; 32]) };
            let mut arrived = None;
            for mut cell in path.sender.request(&request).ok()? {
                let mut go_betweens = path.go_betweens.iter_mut();
                let entered = cell.as_bytes().to_vec();
                go_betweens.next()?.forward.apply(&mut cell);
                passed.push((entered, cell.as_bytes().to_vec()));
                go_betweens.for_each(|hop| hop.forward.apply(&mut cell));
                arrived = path.last_hop.receive(cell).ok()?;
            }
            let answered = path.answer(&Response::NotFound)?;
            if arrived != Some(request) || !answered {
                return None;
            }
        }
        Some(passed)
    }
}

/// What a go-between does too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Careless {
    /// Cells leave a go-between as they entered it, so that whoever watches two lines matches them.
    #[value(name = "go-between that passes bytes on as they came")]
    AsTheyCame,
    /// Every cell is disguised in the same way, so that two of them give the disguise away.
    #[value(name = "go-between with one stream for all cells")]
    OneStream,
    /// Only the front of a cell changes at a go-between, so that the rest can be recognised.
    #[value(name = "go-between that changes only a header")]
    NewFront,
}

impl Carrying for Careless {
    fn carry(&self, rng: &mut StdRng) -> Option<Vec<Passed>> {
        let pass = |(entered, left): Passed| {
            let mut passed = entered.clone();
            match self {
                Self::AsTheyCame => {}
                Self::OneStream => secretbox::apply_stream(&[9; 32], &[0; 24], &mut passed),
                Self::NewFront => *passed.first_chunk_mut::<32>()? = *left.first_chunk()?,
            }
            Some((entered, passed))
        };
        Real.carry(rng)?.into_iter().map(pass).collect()
    }
}

fn unlinkability(carrying: &(dyn Carrying + 'static), rng: &mut StdRng) -> Seen {
    let passed = carrying.carry(rng)?;
    let layers: Vec<Vec<u8>> = passed.iter().map(|(entered, left)| xor(entered, left)).collect();
    let (mut bytes, mut alike, mut windows) = (0, 0, 0);
    for (entered, left) in &passed {
        bytes += entered.len();
        alike += equal(entered, left);
        windows += shared_windows(entered, left, WINDOW);
    }
    // What was added must not come again either: it would tie the cells that leave to those that enter.
    for pair in layers.windows(2) {
        let [one, next] = pair else { continue };
        bytes += one.len();
        alike += equal(one, next);
    }
    // One byte in 256 is alike by chance; six standard deviations are allowed.
    let expected = bytes / 256;
    let allowed = expected + 6 * expected.isqrt();
    let seen = format!(
        "{} cells in and out: {windows} runs of {WINDOW} bytes in common, {alike} of {bytes} bytes alike (by chance {expected}, at most {allowed})",
        passed.len()
    );
    Some((windows == 0 && alike <= allowed, seen))
}

fn equal(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).filter(|(a, b)| a == b).count()
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(a, b)| a ^ b).collect()
}

/// Go-betweens, and mutants of them.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Carrying, Careless> {
        checks: vec![Check { name: "property.bitwise-unlinkability", attack: unlinkability }],
        real: Box::new(Real),
        mutant: |careless| Box::new(careless),
        attack: |_| "Claim C-03: matching cells by their bytes",
    })
}
