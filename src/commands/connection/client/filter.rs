//! Which clients CLIENT LIST and CLIENT KILL mean: the words that both understand.

use crate::commands::error::CommandError;

/// The kinds of clients that can be asked for. Every client that exists is a normal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientType {
    /// Sends commands and gets replies.
    Normal,
    /// The server that this one replicates.
    Master,
    /// A server that replicates this one.
    Replica,
    /// Subscribed to channels.
    PubSub,
}

impl ClientType {
    /// The type that a word names.
    pub fn parse(word: &[u8]) -> Result<ClientType, CommandError> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(ClientType::Normal),
            b"master" => Ok(ClientType::Master),
            b"slave" | b"replica" => Ok(ClientType::Replica),
            b"pubsub" => Ok(ClientType::PubSub),
            _ => {
                let word = String::from_utf8_lossy(word);
                Err(CommandError::Detailed(format!("ERR Unknown client type '{word}'")))
            }
        }
    }
}
