//! What a vault's owner is told beside what a command does: that a file was lost and is made anew, or cannot be kept.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// The most sentences that one process says.
const MOST: usize = 64;

type Listener = Box<dyn Fn(&str) + Send + Sync>;

/// Sentences for people, each said once.
#[derive(Default)]
pub(super) struct Notices {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    said: BTreeSet<String>,
    listener: Option<Listener>,
}

impl Notices {
    /// Tells `listener` what was said before, and what will be.
    pub(super) fn listen(&self, listener: Listener) {
        let mut state = self.state.lock();
        state.said.iter().for_each(|text| listener(text));
        state.listener = Some(listener);
    }

    /// Says something that was not said before.
    pub(super) fn say(&self, text: String) {
        let mut state = self.state.lock();
        if state.said.len() >= MOST || state.said.contains(&text) {
            return;
        }
        if let Some(listener) = &state.listener {
            listener(&text);
        }
        state.said.insert(text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_sentence_is_said_once_and_none_is_missed() {
        let notices = Notices::default();
        notices.say("early".to_owned());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        notices.listen(Box::new(move |text| ear.lock().push(text.to_owned())));
        for text in ["early", "late", "late"] {
            notices.say(text.to_owned());
        }
        assert_eq!(*heard.lock(), ["early", "late"]);
    }
}
