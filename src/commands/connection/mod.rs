//! Commands about the connection, and their rows.

mod auth;
mod client;
mod echo;
mod hello;
mod ping;
mod quit;
mod reset;
mod select;

use crate::commands::table::Flag::{Admin, AllowBusy, Dangerous, Fast, Loading, NoAuth, NoScript, Stale};
use crate::commands::table::{Command, Flag, Group, Keys, Reach, Spread, Verb, row};
use crate::commands::{container, merge};

use client::{attributes, describe, help, kill, list, pause, reply, switches, unblock};

const C: Group = Group::Connection;
const NO_KEY: Keys = Keys::None;
const HOME: Spread = Spread::Home;

const PLAIN: &[Flag] = &[Loading, Stale, Fast];
/// What a client may do before it has said who it is.
const FIRST: &[Flag] = &[NoScript, Loading, Stale, Fast, NoAuth, AllowBusy];
const SELF: &[Flag] = &[NoScript, Loading, Stale];
const OTHERS: &[Flag] = &[Admin, NoScript, Loading, Stale, Dangerous];

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(C, "ping",            ping::run,            -1, NO_KEY, &[Fast], HOME,                               "1.0.0",  "O(1)", "Returns the server's liveliness response."),
    row(C, "echo",            echo::run,            2,  NO_KEY, PLAIN,   HOME,                               "1.0.0",  "O(1)", "Returns the given string."),
    row(C, "hello",           hello::run,           -1, NO_KEY, FIRST,   HOME,                               "6.0.0",  "O(1)", "Handshakes with the Redis server."),
    row(C, "auth",            auth::run,            -2, NO_KEY, FIRST,   HOME,                               "1.0.0",  "O(N) where N is the number of passwords defined for the user", "Authenticates the connection."),
    row(C, "select",          select::run,          2,  NO_KEY, PLAIN,   HOME,                               "1.0.0",  "O(1)", "Changes the selected database."),
    row(C, "quit",            quit::run,            -1, NO_KEY, FIRST,   Spread::Connection(Verb::Quit), "1.0.0",  "O(1)", "Closes the connection."),
    row(C, "reset",           reset::run,           1,  NO_KEY, FIRST,   Spread::Connection(Verb::Reset), "6.2.0",  "O(1)", "Resets the connection."),
    row(C, "client",          container::run,       -2, NO_KEY, &[],     HOME,                               "2.4.0",  "Depends on subcommand.", "A container for client connection commands."),
    row(C, "client|getname",  attributes::get_name, 2,  NO_KEY, SELF,    HOME,                               "2.6.9",  "O(1)", "Returns the name of the connection."),
    row(C, "client|help",     help::run,            2,  NO_KEY, &[Loading, Stale], HOME,                     "5.0.0",  "O(1)", "Returns helpful text about the different subcommands."),
    row(C, "client|id",       attributes::id,       2,  NO_KEY, SELF,    HOME,                               "5.0.0",  "O(1)", "Returns the unique client ID of the connection."),
    row(C, "client|info",     describe::info,       2,  NO_KEY, SELF,    HOME,                               "6.2.0",  "O(1)", "Returns information about the connection."),
    row(C, "client|kill",     kill::run,            -3, NO_KEY, OTHERS,  Spread::Shards(Reach::Nothing, kill::merge_killed), "2.4.0",  "O(N) where N is the number of client connections", "Terminates open connections."),
    row(C, "client|list",     list::run,            -2, NO_KEY, OTHERS,  Spread::Shards(Reach::Nothing, list::merge_lines),  "2.4.0",  "O(N) where N is the number of client connections", "Lists open connections."),
    row(C, "client|no-evict", switches::no_evict,   3,  NO_KEY, OTHERS,  HOME,                               "7.0.0",  "O(1)", "Sets the client eviction mode of the connection."),
    row(C, "client|no-touch", switches::no_touch,   3,  NO_KEY, SELF,    HOME,                               "7.2.0",  "O(1)", "Controls whether commands sent by the client affect the LRU/LFU of accessed keys."),
    row(C, "client|pause",    pause::pause,         -3, NO_KEY, OTHERS,  Spread::Shards(Reach::Settings, merge::same),       "2.9.50", "O(1)", "Suspends commands processing."),
    row(C, "client|reply",    reply::run,           3,  NO_KEY, SELF,    HOME,                               "3.2.0",  "O(1)", "Instructs the server whether to reply to commands."),
    row(C, "client|setinfo",  attributes::set_info, 4,  NO_KEY, SELF,    HOME,                               "7.2.0",  "O(1)", "Sets information specific to the client or connection."),
    row(C, "client|setname",  attributes::set_name, 3,  NO_KEY, SELF,    HOME,                               "2.6.9",  "O(1)", "Sets the connection name."),
    row(C, "client|unblock",  unblock::run,         -3, NO_KEY, OTHERS,  Spread::Shards(Reach::Nothing, merge::sum),         "5.0.0",  "O(log N) where N is the number of client connections", "Unblocks a client blocked by a blocking command from a different connection."),
    row(C, "client|unpause",  pause::unpause,       2,  NO_KEY, OTHERS,  Spread::Shards(Reach::Settings, merge::same),       "6.2.0",  "O(N) Where N is the number of paused clients", "Resumes processing commands from paused clients."),
];
