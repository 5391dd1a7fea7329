//! Asking nodes: one request over a link, or a channel driven over one (paper, 4.1). All timeouts are those for links
//! over TCP; over Tor everything may take longer ([`Links::timeout`]).

use std::time::Duration;

use anon::{
    certificate::NodeCertificate,
    channel::{Extension, Opening, OpeningPath, Passage, SenderChannel},
    request::{MAX_MESSAGE, Request, Response},
    verification::CrossVerified,
};

use crate::link::{Carrier, CellReader, CellWriter, LinkError, Links};

/// Asks one node directly, under the identity of `links`.
///
/// # Errors
/// [`LinkError`], after `timeout` for the answer at most.
pub async fn ask(
    links: &Links,
    to: &NodeCertificate,
    request: &Request,
    timeout: Duration,
) -> Result<Response, LinkError> {
    ask_within(links, to, request, timeout, MAX_MESSAGE).await
}

/// As [`ask`]; an answer of more than `most` bytes, encoded, is not read: [`LinkError::FrameTooLong`].
///
/// # Errors
/// As [`ask`].
pub async fn ask_within(
    links: &Links,
    to: &NodeCertificate,
    request: &Request,
    timeout: Duration,
    most: usize,
) -> Result<Response, LinkError> {
    links.open(to, Carrier::Request).await?.request_within(request, timeout, most).await
}

/// A channel as its sender drives it. Dropping it closes it.
#[derive(Debug)]
pub struct Channel {
    state: SenderChannel,
    reader: CellReader,
    writer: CellWriter,
    links: Links,
}

impl Channel {
    /// Opens a channel whose first hop is `to`; the answer to `early` is the first [`Self::response`].
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn open(
        links: &Links,
        to: &CrossVerified,
        early: Option<&Request>,
        timeout: Duration,
    ) -> Result<Self, LinkError> {
        let (opening, create) = Opening::start(to, early, &mut rand::rng())
            .map_err(anon::channel::ChannelError::Handshake)?;
        let link = links.open_to(to, Carrier::Channel).await?;
        let (mut reader, mut writer) = link.into_cells();
        writer.write(&[create]).await?;
        let created = timely(links.timeout(timeout), reader.read()).await?;
        Ok(Self { state: opening.finish(&created)?, reader, writer, links: links.clone() })
    }

    /// Extends the channel to `to`; the answer to `early` is the next [`Self::response`].
    ///
    /// # Errors
    /// [`LinkError`]; the channel is closed then.
    pub async fn extend(
        mut self,
        to: &CrossVerified,
        early: Option<&Request>,
        timeout: Duration,
    ) -> Result<Self, LinkError> {
        let (mut extending, cells) = self.state.extend(to, early, &mut rand::rng())?;
        self.writer.write(&cells).await?;
        loop {
            let cell = timely(self.links.timeout(timeout), self.reader.read()).await?;
            match extending.receive(cell)? {
                Extension::Waiting(waiting) => extending = *waiting,
                Extension::Extended(state) => return Ok(Self { state: *state, ..self }),
            }
        }
    }

    /// Opens a channel over all `hops` in one pass, each asked what stands beside it. A go-between's answer is
    /// handed, with its place from 0, to `hear` as it comes; if that errs, the path is given up. The answer of
    /// the last hop is the first [`Self::response`]. Every message may take `timeout`.
    ///
    /// # Errors
    /// [`LinkError`], or what `hear` says. A go-between that does not know the next node, or does not reach it,
    /// is a [`anon::channel::ChannelError::NotExtended`].
    pub async fn open_path<E: From<LinkError>>(
        links: &Links,
        hops: &[(CrossVerified, Option<Request>)],
        timeout: Duration,
        mut hear: impl FnMut(usize, Response) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (mut passage, mut reader, writer) = Self::set_out(links, hops, timeout).await?;
        loop {
            let path = match passage {
                Passage::Arrived(state) => {
                    return Ok(Self { state: *state, reader, writer, links: links.clone() });
                }
                Passage::Underway(path) => path,
                Passage::Answered { hop, answer, path } => {
                    hear(hop, answer)?;
                    path
                }
            };
            let cell = timely(links.timeout(timeout), reader.read()).await?;
            passage = path.receive(cell).map_err(LinkError::from)?;
        }
    }

    async fn set_out(
        links: &Links,
        hops: &[(CrossVerified, Option<Request>)],
        timeout: Duration,
    ) -> Result<(Passage, CellReader, CellWriter), LinkError> {
        let path: Vec<_> = hops.iter().map(|(to, question)| (to, question.as_ref())).collect();
        let (opening, create) = OpeningPath::start(&path, &mut rand::rng())
            .map_err(anon::channel::ChannelError::Handshake)?;
        let Some((first, _)) = hops.first() else { return Err(LinkError::Unreachable) };
        let link = links.open_to(first, Carrier::Channel).await?;
        let (mut reader, mut writer) = link.into_cells();
        writer.write(&[create]).await?;
        let created = timely(links.timeout(timeout), reader.read()).await?;
        Ok((opening.finish(&created)?, reader, writer))
    }

    /// Awaits the last hop's next response.
    ///
    /// # Errors
    /// [`LinkError`]; the channel is of no use then.
    pub async fn response(&mut self, timeout: Duration) -> Result<Response, LinkError> {
        timely(self.links.timeout(timeout), async {
            loop {
                let cell = self.reader.read().await?;
                if let Some(response) = self.state.receive(cell)? {
                    return Ok(response);
                }
            }
        })
        .await
    }

    /// Sends a request to the last hop; its answer is a later [`Self::response`]. Several may be on their way, and
    /// are answered in their order.
    ///
    /// # Errors
    /// [`LinkError`]; the channel is of no use then.
    pub async fn send(&mut self, request: &Request) -> Result<(), LinkError> {
        let cells = self.state.request(request).map_err(anon::channel::ChannelError::Cell)?;
        self.writer.write(&cells).await
    }

    /// Sends a request to the last hop and awaits its response.
    ///
    /// # Errors
    /// [`LinkError`]; the channel is of no use then.
    pub async fn request(
        &mut self,
        request: &Request,
        timeout: Duration,
    ) -> Result<Response, LinkError> {
        self.send(request).await?;
        self.response(timeout).await
    }
}

async fn timely<T>(
    timeout: Duration,
    io: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    tokio::time::timeout(timeout, io).await.map_err(|_| LinkError::TimedOut)?
}
