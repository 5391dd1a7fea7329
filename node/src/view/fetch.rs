//! Having a view of another node, piece by piece, checked while it comes: what is not what keepers signed ends it.
//!
//! No count of bytes is needed: the header under its quorum comes first, and says how many nodes may follow.

use std::borrow::Borrow;

use anon::{
    id::NodeId,
    request::view::{MAX_PIECE, ViewRequest},
    view::{
        difference::DifferenceDecoder, error::ViewError, header::ViewId, quorum::SignedView,
        signed::View, whole::WholeDecoder,
    },
};
use thiserror::Error;

use super::exchange::Exchange;

/// Why a view was not had of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FetchError {
    /// It does not answer, or has no such view.
    #[error("the node does not hand it out")]
    NotHad,
    /// What it hands out is not what keepers signed.
    #[error(transparent)]
    Bad(#[from] ViewError),
    /// Another view than the one that was asked for.
    #[error("another view than the one that was asked for")]
    OtherView,
}

/// What reads a view while it comes.
pub(crate) trait Decoder {
    /// Takes in more.
    fn feed(&mut self, more: &[u8]) -> Result<(), ViewError>;
    /// The header, as soon as a quorum is verified.
    fn signed(&self) -> Option<&SignedView>;
    /// The view.
    fn finish(self) -> Result<View, ViewError>;
}

impl Decoder for WholeDecoder {
    fn feed(&mut self, more: &[u8]) -> Result<(), ViewError> {
        self.feed(more)
    }

    fn signed(&self) -> Option<&SignedView> {
        self.signed()
    }

    fn finish(self) -> Result<View, ViewError> {
        self.finish()
    }
}

impl<B: Borrow<View>> Decoder for DifferenceDecoder<B> {
    fn feed(&mut self, more: &[u8]) -> Result<(), ViewError> {
        self.feed(more)
    }

    fn signed(&self) -> Option<&SignedView> {
        self.signed()
    }

    fn finish(self) -> Result<View, ViewError> {
        self.finish()
    }
}

/// Has a view of a node. `ask` says what to ask for from which byte on.
///
/// # Errors
/// [`FetchError`].
pub(crate) async fn fetch<D: Decoder>(
    exchange: &dyn Exchange,
    node: &NodeId,
    id: ViewId,
    mut decoder: D,
    ask: impl Fn(u32) -> ViewRequest,
) -> Result<View, FetchError> {
    let mut had: usize = 0;
    loop {
        let from = u32::try_from(had).map_err(|_| FetchError::NotHad)?;
        let piece = exchange.ask(node, ask(from)).await.ok_or(FetchError::NotHad)?;
        decoder.feed(&piece)?;
        if decoder.signed().is_some_and(|signed| signed.id() != id) {
            return Err(FetchError::OtherView);
        }
        if piece.len() < MAX_PIECE {
            return Ok(decoder.finish()?);
        }
        had = had.saturating_add(piece.len());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use anon::{
        request::view::piece,
        testing::views::{Keepers, NETWORK},
    };
    use futures::future::BoxFuture;

    use super::*;

    /// Hands out what it is given, and counts how often it is asked.
    struct Shelf(Box<dyn Fn(u32) -> Option<Vec<u8>> + Send + Sync>, Mutex<u32>);

    impl Exchange for Shelf {
        fn ask<'a>(
            &'a self,
            _: &'a NodeId,
            request: ViewRequest,
        ) -> BoxFuture<'a, Option<Vec<u8>>> {
            let ViewRequest::View { from, .. } = request else { panic!("not asked") };
            *self.1.lock().unwrap() += 1;
            Box::pin(std::future::ready((self.0)(from)))
        }
    }

    /// What comes of asking for the first view of some where another hands out pieces, and after how many pieces.
    async fn fetched(
        keepers: &Keepers,
        view: &View,
        shelf: impl Fn(u32) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> (Result<View, FetchError>, u32) {
        let shelf = Shelf(Box::new(shelf), Mutex::default());
        let decoder = WholeDecoder::new(NETWORK, keepers.set.clone());
        let ask = |from| ViewRequest::View { id: view.id(), from };
        let had = fetch(&shelf, &NodeId([1; 32]), view.id(), decoder, ask).await;
        let asked = *shelf.1.lock().unwrap();
        (had, asked)
    }

    fn whole(view: &View) -> impl Fn(u32) -> Option<Vec<u8>> + Send + Sync + 'static + use<> {
        let bytes: Vec<u8> = view.whole().flatten().collect();
        move |from| piece(&bytes, from).map(<[u8]>::to_vec)
    }

    #[tokio::test]
    async fn a_view_of_several_pieces_is_had_and_anything_else_ends_at_once() {
        let keepers = Keepers::new(1);
        let view = keepers.view_of(5, None, 0..20_000);
        let (had, pieces) = fetched(&keepers, &view, whole(&view)).await;
        assert_eq!((had, pieces), (Ok(view.clone()), 2));

        let other = keepers.view_of(6, None, 0..20_000);
        let had = fetched(&keepers, &view, whole(&other)).await;
        assert_eq!(had, (Err(FetchError::OtherView), 1));

        // Whole pieces without end: the view's own end is the end.
        let right = whole(&view);
        let growing = move |from| {
            let mut piece = right(from).unwrap_or_default();
            piece.resize(MAX_PIECE, 7);
            Some(piece)
        };
        let had = fetched(&keepers, &view, growing).await;
        assert_eq!(had, (Err(FetchError::Bad(ViewError::TrailingBytes)), 2));
        let junk = fetched(&keepers, &view, |_| Some(vec![1; MAX_PIECE])).await;
        assert!(matches!(junk, (Err(FetchError::Bad(_)), 1)), "{junk:?}");
        assert_eq!(fetched(&keepers, &view, |_| None).await, (Err(FetchError::NotHad), 1));
        let (early, _) = fetched(&keepers, &view, |_| Some(Vec::new())).await;
        assert_eq!(early, Err(FetchError::Bad(ViewError::EndsEarly)));
    }
}
