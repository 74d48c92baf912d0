//! The thread that has the data directory while the server runs. It blocks in the file system so that no shard has to. What it does, and in
//! which order, is `persist`'s (`clerk`, `keeper`).

use crossbeam_channel::Receiver;

use crate::net::clock::now_ms;
use crate::net::mesh::{Mesh, Parcel};
use crate::persist::clerk::Clerk;
use crate::persist::control::ToKeeper;
use crate::persist::disk::Disk;
use crate::persist::keeper::Keeper;

/// Serves the shards until all of them are gone.
pub fn keep<D: Disk>(mut disk: D, keeper: Keeper, inbox: &Receiver<ToKeeper>, mesh: &Mesh) {
    let mut clerk = Clerk::new(keeper, mesh.shards());
    for message in inbox {
        clerk.handle(&mut disk, message, now_ms(), |shard, message| {
            mesh.deliver_from_outside(shard, Parcel::Keeper(message));
        });
    }
}
