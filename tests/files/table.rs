//! The tables of `docs/files.md`, as they stand there.

use std::process::Output;

use super::damage::Damage;

/// What a command does about one damage of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It ends with this code, and changes nothing.
    Stops(i32),
    /// It does the rest, and ends with this code.
    GoesOn(i32),
    /// It warns, and goes on.
    Said,
    /// It warns that the file is made anew, and goes on.
    Rebuilt,
    /// It cannot know.
    Unnoticed,
    /// It cannot happen.
    Never,
}

/// One file.
#[derive(Clone, Debug)]
pub struct Row {
    pub file: String,
    cells: Vec<Cell>,
}

impl Row {
    pub fn cell(&self, damage: Damage) -> Cell {
        let place = Damage::ALL.iter().position(|d| *d == damage).unwrap_or(Damage::ALL.len());
        self.cells[place]
    }

    /// The same for a command that meets another file first: on a full disk the first write fails.
    pub fn unnamed(&self) -> Self {
        Self { file: String::new(), cells: self.cells.clone() }
    }

    /// The file's name as a refusal has it, without what differs from file to file.
    fn name(&self) -> &str {
        match self.file.as_str() {
            "mail/" => "Maildir",
            file => file.split('*').next().unwrap().trim_end_matches('/'),
        }
    }
}

impl Cell {
    fn read(text: &str) -> Self {
        let code = || text.rsplit(' ').next().unwrap().parse().unwrap();
        match text {
            "said" => Self::Said,
            "rebuilt" => Self::Rebuilt,
            "unnoticed" => Self::Unnoticed,
            "–" => Self::Never,
            _ if text.starts_with("stops ") => Self::Stops(code()),
            _ if text.starts_with("goes on ") => Self::GoesOn(code()),
            other => panic!("{other} is no cell of the table"),
        }
    }

    /// Checks that a command did what the cell says.
    #[track_caller]
    pub fn check(self, row: &Row, output: &Output, context: &str) {
        let told = String::from_utf8_lossy(&output.stderr);
        let is_named = || assert!(told.contains(row.name()), "it is not named: {context}");
        assert!(!told.contains("panicked"), "{context}");
        match self {
            Self::Stops(code) | Self::GoesOn(code) => {
                assert_eq!(output.status.code(), Some(code), "{context}");
                assert!(told.contains("error: ") && told.contains("try: "), "{context}");
                is_named();
            }
            Self::Said | Self::Rebuilt => {
                assert!(output.status.success(), "{context}");
                assert!(told.contains("warning: "), "{context}");
                assert_eq!(told.contains("is made anew"), self == Self::Rebuilt, "{context}");
                is_named();
            }
            Self::Unnoticed => {
                assert!(output.status.success(), "{context}");
                assert!(!told.contains("warning: "), "{context}");
            }
            Self::Never => panic!("{context}"),
        }
    }
}

/// The rows of the table under a heading.
pub fn table(heading: &str) -> Vec<Row> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/files.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once(heading).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Row> = lines
        .map(|line| {
            let mut fields = line.trim_matches('|').split('|').map(str::trim);
            let file = fields.next().unwrap().trim_matches('`').to_owned();
            let cells: Vec<Cell> = fields.skip(1).map(Cell::read).collect();
            assert_eq!(cells.len(), Damage::ALL.len(), "{line}");
            Row { file, cells }
        })
        .collect();
    assert!(!rows.is_empty(), "no table under {heading}");
    rows
}
