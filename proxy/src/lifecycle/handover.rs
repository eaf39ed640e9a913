//! Handing the listening sockets to a successor, so that an upgrade refuses no connection.
//!
//! The successor connects to a Unix socket in the data directory and is sent the listening sockets
//! (`SCM_RIGHTS`) with their names. Both processes accept on them until the successor has a snapshot and
//! says so; from then on the predecessor accepts nothing more. A successor that fails before that has
//! changed nothing.

use std::{
    fs, io,
    io::{IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{fs::PermissionsExt as _, net::UnixStream},
    },
    path::Path,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::{io::AsyncReadExt as _, net::UnixListener};

/// The socket's name in the data directory.
pub(crate) const SOCKET: &str = "handover.sock";
const READY: u8 = b'r';
/// More than a proxy listens on.
const MAX_SOCKETS: usize = 8;
/// How long a predecessor may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listening sockets by name.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<(String, OwnedFd)>);

impl Sockets {
    /// Keeps a second handle on a listener.
    pub(crate) fn add(&mut self, name: &str, listener: &TcpListener) -> io::Result<()> {
        self.0.push((name.to_owned(), listener.as_fd().try_clone_to_owned()?));
        Ok(())
    }

    /// Takes the listener of this name, if there is one.
    pub(crate) fn take(&mut self, name: &str) -> Option<TcpListener> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1.into())
    }

    fn send(&self, to: BorrowedFd<'_>) -> io::Result<()> {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(" ");
        let sockets: Vec<BorrowedFd<'_>> =
            self.0.iter().map(|(_, socket)| socket.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(io::Error::other("too many sockets"));
        }
        sendmsg(to, &[IoSlice::new(names.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn receive(from: BorrowedFd<'_>) -> io::Result<Self> {
        let mut names = [0; 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            from,
            &mut [IoSliceMut::new(&mut names)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let names = String::from_utf8_lossy(names.get(..received.bytes).unwrap_or_default());
        let sockets = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => sockets.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        Ok(Self(names.split(' ').map(str::to_owned).zip(sockets).collect()))
    }
}

/// The predecessor's end.
#[derive(Debug)]
pub(crate) struct Handover {
    listener: UnixListener,
}

impl Handover {
    /// Listens for a successor. Who may connect is who may write to the socket: our own user.
    pub(crate) fn listen(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// Returns once a successor has said that it serves.
    pub(crate) async fn completed(&self, sockets: &Mutex<Sockets>) {
        loop {
            match self.attempt(sockets).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "a successor did not take over; serving goes on");
                }
            }
        }
    }

    async fn attempt(&self, sockets: &Mutex<Sockets>) -> io::Result<()> {
        let (mut successor, _) = self.listener.accept().await?;
        let ours = rustix::process::geteuid().as_raw();
        if successor.peer_cred()?.uid() != ours {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        tracing::info!("a successor asks for the listening sockets");
        successor.writable().await?;
        sockets.lock().send(successor.as_fd())?;
        // However long it takes to load its state: until it is ready, we serve.
        match successor.read_u8().await? {
            READY => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The successor's end.
#[derive(Debug)]
pub(crate) struct Predecessor(UnixStream);

impl Predecessor {
    /// Asks the process that serves now for its listening sockets.
    pub(crate) fn ask(path: &Path) -> io::Result<(Self, Sockets)> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let sockets = Sockets::receive(stream.as_fd())?;
        Ok((Self(stream), sockets))
    }

    /// Tells it that we serve, and waits until it has let go.
    pub(crate) fn relieve(mut self) -> io::Result<()> {
        self.0.write_all(&[READY])?;
        // It closes its end once it has read this.
        let mut nothing = [0; 1];
        self.0.read(&mut nothing).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_pass_from_one_to_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SOCKET);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sockets = Sockets::default();
        sockets.add("proxy", &listener).unwrap();
        let handover = Handover::listen(&path).unwrap();
        let (asked_path, address) = (path.clone(), listener.local_addr().unwrap());
        let successor = tokio::task::spawn_blocking(move || {
            // The first gives up before it is ready.
            drop(Predecessor::ask(&asked_path).unwrap());
            let (predecessor, mut sockets) = Predecessor::ask(&asked_path).unwrap();
            assert!(sockets.take("other").is_none());
            assert_eq!(sockets.take("proxy").unwrap().local_addr().unwrap(), address);
            predecessor.relieve().unwrap();
        });
        handover.completed(&Mutex::new(sockets)).await;
        successor.await.unwrap();
    }
}
