//! Attacks on cells, on every link, in both directions, over one to three hops.

use anon::{
    cell::{CELL, Cell, CellError},
    channel::ChannelError,
    request::{Request, Response},
};

use super::honest::{KEY, nodes, store};
use crate::{
    line::{Line, backward, forward},
    world::rng,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forward,
    Backward,
}

/// Where somebody meddles.
#[derive(Clone, Copy, Debug)]
struct Place {
    hops: u8,
    way: Way,
    link: usize,
}

const BAD_CELL: Result<bool, ChannelError> = Err(ChannelError::Cell(CellError));

fn places() -> Vec<Place> {
    let mut all = Vec::new();
    for hops in 1..=3 {
        for way in [Way::Forward, Way::Backward] {
            all.extend((0..usize::from(hops)).map(|link| Place { hops, way, link }));
        }
    }
    all
}

/// Two messages, of three cells and of one, of which somebody at `place` changes the cells. Whether both
/// arrived as they were sent.
fn run(
    place: Place,
    seed: u64,
    attack: impl FnOnce(Vec<Cell>) -> Vec<Cell>,
) -> Result<bool, ChannelError> {
    let mut line = Line::over(nodes(place.hops), &mut rng(seed));
    let (before, behind) = line.go_betweens.split_at_mut(place.link);
    match place.way {
        Way::Forward => {
            let sent = [store(10_000), Request::Fetch { key: KEY }];
            let cells = sent.iter().flat_map(|r| line.sender.request(r).unwrap()).collect();
            let cells = forward(before, cells).pop().unwrap();
            let cells = forward(behind, attack(cells)).pop().unwrap();
            line.receive_requests(&cells).map(|received| received == sent)
        }
        Way::Backward => {
            let sent = [Response::Object(vec![7; 10_000]), Response::NotFound];
            let cells = sent.iter().flat_map(|r| line.last_hop.respond(r).unwrap()).collect();
            let cells = backward(behind, cells).swap_remove(0);
            let cells = backward(before, attack(cells)).swap_remove(0);
            line.receive_responses(&cells).map(|received| received == sent)
        }
    }
}

#[test]
fn untouched_cells_arrive() {
    for place in places() {
        let four = |cells: Vec<Cell>| {
            assert_eq!(cells.len(), 4);
            cells
        };
        assert_eq!(run(place, 1, four), Ok(true), "{place:?}");
    }
}

#[test]
fn a_flipped_bit_ends_the_channel() {
    // The only link there is, and the one in the middle of three hops.
    for place in
        places().into_iter().filter(|place| [(1, 0), (3, 1)].contains(&(place.hops, place.link)))
    {
        for at in (0..CELL).step_by(97).chain([CELL - 1]) {
            let flip = |mut cells: Vec<Cell>| {
                let mut bytes = *cells[1].as_bytes();
                bytes[at] ^= 1 << (at % 8);
                cells[1] = Cell::from_bytes(Box::new(bytes));
                cells
            };
            assert_eq!(run(place, 1, flip), BAD_CELL, "{place:?}, byte {at}");
        }
    }
}

#[test]
fn a_dropped_cell_ends_the_channel() {
    for place in places() {
        for at in 0..3 {
            let drop = |mut cells: Vec<Cell>| {
                cells.remove(at);
                cells
            };
            assert_eq!(run(place, 1, drop), BAD_CELL, "{place:?}, cell {at}");
        }
        // Nobody notices the last one; but nothing wrong arrives either.
        let drop_last = |mut cells: Vec<Cell>| {
            cells.pop();
            cells
        };
        assert_eq!(run(place, 1, drop_last), Ok(false));
    }
}

#[test]
fn a_repeated_cell_ends_the_channel() {
    for place in places() {
        for at in 0..4 {
            let repeat = |mut cells: Vec<Cell>| {
                cells.insert(at, cells[at].clone());
                cells
            };
            assert_eq!(run(place, 1, repeat), BAD_CELL, "{place:?}, cell {at}");
        }
    }
}

#[test]
fn swapped_cells_end_the_channel() {
    for place in places() {
        for (a, b) in [(0, 1), (1, 2), (0, 3), (2, 3)] {
            let swap = |mut cells: Vec<Cell>| {
                cells.swap(a, b);
                cells
            };
            assert_eq!(run(place, 1, swap), BAD_CELL, "{place:?}, cells {a} and {b}");
        }
    }
}

#[test]
fn a_cell_of_another_channel_ends_this_one() {
    for place in places() {
        for at in 0..4 {
            // The same nodes, the same messages, the same cell of a channel with other ephemeral keys.
            let splice = |mut cells: Vec<Cell>| {
                let other = run(place, 2, |others| {
                    cells[at] = others[at].clone();
                    others
                });
                assert_eq!(other, Ok(true));
                cells
            };
            assert_eq!(run(place, 1, splice), BAD_CELL, "{place:?}, cell {at}");
        }
    }
}

#[test]
fn made_up_cells_end_the_channel() {
    for place in places() {
        for made_up in [[0; CELL], [0xFF; CELL]] {
            let insert = |mut cells: Vec<Cell>| {
                cells[0] = Cell::from_bytes(Box::new(made_up));
                cells
            };
            assert_eq!(run(place, 1, insert), BAD_CELL, "{place:?}");
        }
    }
}

#[test]
fn cells_handed_back_to_whoever_sent_them_end_the_channel() {
    for hops in 1..=3 {
        for link in 0..usize::from(hops) {
            let mut line = Line::over(nodes(hops), &mut rng(1));
            let sent = line.request(&store(10_000)).swap_remove(link);
            let back = backward(&mut line.go_betweens[..link], sent).swap_remove(0);
            let received = line.receive_responses(&back).map(|_| true);
            assert_eq!(received, BAD_CELL, "to the sender from link {link} of {hops}");

            let mut line = Line::over(nodes(hops), &mut rng(1));
            let sent = line.respond(&Response::Object(vec![7; 10_000])).swap_remove(link);
            let back = forward(&mut line.go_betweens[link..], sent).pop().unwrap();
            let received = line.receive_requests(&back).map(|_| true);
            assert_eq!(received, BAD_CELL, "to the last hop from link {link} of {hops}");
        }
    }
}

#[test]
fn a_go_between_that_adds_its_layer_to_the_wrong_direction_ends_the_channel() {
    let mut line = Line::over(nodes(2), &mut rng(1));
    let mut cells = line.sender.request(&store(100)).unwrap();
    let hop = &mut line.go_betweens[0];
    cells.iter_mut().for_each(|cell| hop.backward.apply(cell));
    assert_eq!(line.receive_requests(&cells).map(|_| true), BAD_CELL);
}
