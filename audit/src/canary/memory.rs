//! The memory of a process: every readable region but those that only repeat a file (the program's own code and
//! constants), read through `/proc`, as whoever owns the machine can.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::needle::{Find, Needles};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// One region.
struct Region {
    from: u64,
    to: u64,
    name: String,
}

/// What is in a process's memory, each with its region, and how many bytes were searched.
pub(super) fn search(pid: u32, needles: &Needles<'_>) -> io::Result<(Vec<(String, Find)>, u64)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let (mut found, mut searched) = (Vec::new(), 0);
    for Region { from, to, name } in maps.lines().filter_map(region) {
        // The end of the piece before stays in front, so that nothing is missed at the seam.
        let (mut buffer, mut kept, mut at) = (vec![0; CHUNK + needles.overlap()], 0, from);
        while at < to {
            let room = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
            let Some(space) = buffer.get_mut(kept..kept + room) else { break };
            // A page that is gone by now is not there to be searched.
            let Ok(read @ 1..) = memory.read_at(space, at) else { break };
            searched += u64::try_from(read).unwrap_or(0);
            at += u64::try_from(read).unwrap_or(0);
            let filled = kept + read;
            let piece = buffer.get(..filled).unwrap_or_default();
            found.extend(needles.search(piece).into_iter().map(|find| (name.clone(), find)));
            // What was found whole in this piece is not to be found again: one byte less than the longest.
            kept = needles.overlap().saturating_sub(1).min(filled);
            buffer.copy_within(filled - kept..filled, 0);
        }
    }
    Ok((found, searched))
}

fn region(line: &str) -> Option<Region> {
    let mut fields = line.split_whitespace();
    let (range, mode, inode) = (fields.next()?, fields.next()?, fields.nth(2)?);
    let name = fields.next().unwrap_or("anonymous").to_owned();
    let is_copy_of_a_file = inode != "0" && !mode.contains('w');
    if !mode.starts_with('r') || is_copy_of_a_file || name.starts_with("[v") {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    // No path: it may be long, and names the user.
    let name = if name.starts_with('/') { "a mapped file".to_owned() } else { name };
    Some(Region { from: hex(from)?, to: hex(to)?, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::needle::{Canaries, Label};

    #[test]
    fn what_this_process_holds_is_found() {
        let held = format!("held {:032x}", rand::random::<u128>());
        let mut canaries = Canaries::default();
        canaries.text(Label::Marker, &held);
        let (found, searched) = search(std::process::id(), &canaries.needles().unwrap()).unwrap();
        assert!(found.iter().any(|(_, find)| find.form == "raw") && searched > 1 << 16);
    }

    #[test]
    fn regions_that_repeat_files_are_left_out() {
        assert!(region("7f00-7f10 r-xp 0000 08:01 77 /usr/lib/x.so").is_none());
        assert!(region("7f00-7f10 ---p 0000 00:00 0").is_none());
        let heap = region("7f00-7f10 rw-p 0000 00:00 0 [heap]").unwrap();
        assert_eq!((heap.from, heap.to, heap.name.as_str()), (0x7f00, 0x7f10, "[heap]"));
    }
}
