//! The queue of a process, and the writer at its end.

use tokio::sync::{mpsc, oneshot};

use super::{batch::commit, database::Database};
use crate::ways::way::Answer;

/// The most buyers of a batch.
const BATCH: usize = 64;

/// An item, a buyer, and where the writer answers.
pub(super) type Wish = (i64, i64, oneshot::Sender<Answer>);

/// Writes batches until the queue closes. If PostgreSQL fails, the batch's buyers get no answer.
pub(super) async fn write(database: Database, mut queue: mpsc::Receiver<Wish>) {
    let (mut batch, mut db) = (Vec::new(), None);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if db.is_none() {
            db = database.connect().await.ok();
        }
        let Some(connection) = &mut db else {
            batch.clear();
            continue;
        };
        match commit(connection, &batch).await {
            Ok(answers) => {
                for ((.., asks), answer) in batch.drain(..).zip(answers) {
                    let _ = asks.send(answer); // a client that has gone
                }
            }
            Err(_) => (batch, db) = (Vec::new(), None),
        }
    }
}
