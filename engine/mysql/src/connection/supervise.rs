//! Watching over a call of the handler: it must end soon after its statement is cancelled, its client has gone or it
//! has panicked.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::packet::PacketReader;

/// Reason of an end that leaves the handler in an unknown state.
pub(super) const PANICKED: &str = "the handler panicked";

/// How a call ended.
pub(super) enum Outcome<T> {
    /// By itself; whether the client is still there.
    Returned { value: T, client_is_there: bool },
    /// By a panic, which has been logged.
    Panicked,
    /// It did not return within the grace after its cancellation, and was dropped.
    Dropped,
}

/// Runs `call`. Cancels `statement` when the client closes the connection meanwhile; drops the call `grace` after
/// `statement` was cancelled, by whomever.
pub(super) async fn supervise<T>(
    call: impl Future<Output = T>,
    reader: &mut PacketReader,
    statement: &CancellationToken,
    grace: Duration,
) -> Outcome<T> {
    let call = AssertUnwindSafe(call).catch_unwind();
    tokio::pin!(call);
    let patience_ends = async {
        statement.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::pin!(patience_ends);
    let mut client_is_there = true;
    loop {
        tokio::select! {
            biased;
            ended = &mut call => return match ended {
                Ok(value) => Outcome::Returned { value, client_is_there },
                Err(panic) => {
                    tracing::error!(panic = message_of(&*panic), "a handler panicked");
                    Outcome::Panicked
                }
            },
            () = &mut patience_ends => return Outcome::Dropped,
            () = reader.closed(), if client_is_there => {
                client_is_there = false;
                statement.cancel();
            }
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}
