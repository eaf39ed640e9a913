//! One timer for all that a connection of HTTP/1.1 waits for, or one request after the other of a connection of HTTP/2.
//!
//! Nearly everything that is waited for comes long before its time is over, and then the same is waited for again,
//! a little later. So the timer stays where it is: it is only moved to an earlier time, and when it goes off too early
//! it is set anew. Setting one for each wait would cost more than the rest of the waiting.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// The timer of whoever waits for one thing at a time.
#[derive(Debug)]
pub(crate) struct Alarm(Pin<Box<Sleep>>);

/// The time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

impl Alarm {
    /// Set so that it goes off if nothing is waited for; that is harmless.
    pub(crate) fn new(usually: Duration) -> Self {
        Self(Box::pin(sleep(usually)))
    }

    /// Ready once it is this late.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if self.0.deadline() > deadline {
            self.0.as_mut().reset(deadline);
        }
        loop {
            ready!(self.0.as_mut().poll(context));
            if self.0.deadline() >= deadline {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(deadline);
        }
    }

    /// Waits for something, this long at most. Time is only looked at if it has to be waited for.
    ///
    /// # Errors
    /// It took longer.
    pub(crate) async fn within<T>(
        &mut self,
        patience: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        let (mut future, mut deadline) = (pin!(future), None);
        poll_fn(|context| {
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
            self.poll(context, deadline).map(|()| Err(Elapsed))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_neither_too_early_nor_too_late() {
        let mut alarm = Alarm::new(Duration::from_secs(3));
        let begun = Instant::now();
        for (patience, at) in [(10, 10), (1, 11), (1, 12), (60, 72), (2, 74)] {
            let waited = alarm.within(Duration::from_secs(patience), pending::<()>()).await;
            assert_eq!((waited, begun.elapsed().as_secs()), (Err(Elapsed), at));
        }
        assert_eq!(alarm.within(Duration::ZERO, async { 7 }).await, Ok(7));
        let nap = sleep(Duration::from_secs(4));
        assert_eq!(alarm.within(Duration::from_secs(5), nap).await, Ok(()));
        assert_eq!(begun.elapsed().as_secs(), 78);
    }
}
