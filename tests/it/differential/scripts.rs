//! The rules of transactions as conversations, with every reply written down.
//!
//! A line is the name of a client, what it says, ` -> ` and what it hears: the lines of the reply, with ` | ` for a line's end. With
//! ` | ` in what it says, these commands are sent together. Other lines:
//!
//! * `a is -> multi=2`: CLIENT LIST, asked by another client, has these fields for `a`
//!   (of `flags`, the letters `x` and `d`)
//! * `a SAYS -> ~ multi=2`: the one reply to what `a` says has these fields somewhere
//! * `a is closed`: the server closes the connection of `a` and has nothing more to say
//! * `a leaves`: `a` closes its connection; the next `a` is another client
//! * `@300ms`: time passes

/// What a conversation shows, and its lines.
pub const SCRIPTS: &[(&str, &str)] = &[
    (
        "commands wait for EXEC, which replies to all of them",
        "a MULTI -> +OK
         a SET k v -> +QUEUED
         b GET k -> $-1
         a GET k -> +QUEUED
         a INCR n -> +QUEUED
         a EXEC -> *3 | +OK | $1 | v | :1
         b GET k -> $1 | v",
    ),
    (
        "an empty transaction is executed",
        "a MULTI -> +OK
         a EXEC -> *0",
    ),
    (
        "names are in any case",
        "a mUlTi -> +OK
         a pinG -> +QUEUED
         a exec -> *1 | +PONG
         a watch k -> +OK
         a unWatch -> +OK",
    ),
    (
        "DISCARD forgets the commands and what is watched",
        "a WATCH k -> +OK
         a MULTI -> +OK
         a SET k v -> +QUEUED
         a DISCARD -> +OK
         a GET k -> $-1
         b SET k w -> +OK
         a MULTI -> +OK
         a EXEC -> *0",
    ),
    (
        "EXEC and DISCARD need a MULTI, and without one they change nothing",
        "a EXEC -> -ERR EXEC without MULTI
         a DISCARD -> -ERR DISCARD without MULTI
         a WATCH k -> +OK
         b SET k v -> +OK
         a EXEC -> -ERR EXEC without MULTI
         a DISCARD -> -ERR DISCARD without MULTI
         a MULTI -> +OK
         a EXEC -> *-1
         a EXEC -> -ERR EXEC without MULTI",
    ),
    (
        "MULTI and WATCH within a transaction are errors that do not abort it",
        "a MULTI -> +OK
         a MULTI -> -ERR MULTI calls can not be nested
         a WATCH k -> -ERR WATCH inside MULTI is not allowed
         b SET k v -> +OK
         a GET k -> +QUEUED
         a EXEC -> *1 | $1 | v",
    ),
    (
        "UNWATCH within a transaction is queued, too late to help",
        "a WATCH k -> +OK
         a MULTI -> +OK
         a UNWATCH -> +QUEUED
         b SET k v -> +OK
         a EXEC -> *-1
         a MULTI -> +OK
         a UNWATCH -> +QUEUED
         a EXEC -> *1 | +OK",
    ),
    (
        "an unknown command aborts",
        "a MULTI -> +OK
         a SET k v -> +QUEUED
         a NOSUCH a b -> -ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \n\
         a SET k w -> +QUEUED
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a GET k -> $-1
         a EXEC -> -ERR EXEC without MULTI",
    ),
    (
        "so do wrong numbers of words and unknown subcommands",
        "a MULTI -> +OK
         a GET -> -ERR wrong number of arguments for 'get' command
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a MULTI -> +OK
         a CLIENT NOSUCH -> -ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a MULTI -> +OK
         a CLIENT KILL -> -ERR wrong number of arguments for 'client|kill' command
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a MULTI -> +OK
         a CONFIG NOSUCH -> -ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.",
    ),
    (
        "also of the commands that are not queued",
        "a MULTI x -> -ERR wrong number of arguments for 'multi' command
         a MULTI -> +OK
         a MULTI x -> -ERR wrong number of arguments for 'multi' command
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a WATCH -> -ERR wrong number of arguments for 'watch' command
         a MULTI -> +OK
         a WATCH -> -ERR wrong number of arguments for 'watch' command
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a UNWATCH x -> -ERR wrong number of arguments for 'unwatch' command
         a MULTI -> +OK
         a DISCARD x -> -ERR wrong number of arguments for 'discard' command
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a MULTI -> +OK
         a RESET x -> -ERR wrong number of arguments for 'reset' command
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.",
    ),
    (
        "EXEC with too many words ends the transaction at once",
        "a MULTI -> +OK
         a SET k v -> +QUEUED
         a EXEC x -> -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
         a EXEC -> -ERR EXEC without MULTI
         a GET k -> $-1",
    ),
    (
        "it does so without a MULTI too, and forgets what is watched",
        "a WATCH k -> +OK
         b SET k v -> +OK
         a EXEC x -> -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
         a MULTI -> +OK
         a EXEC -> *0
         a WATCH k -> +OK
         a EXEC x -> -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
         b SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> *0",
    ),
    (
        "SHUTDOWN cannot be queued, whatever its words",
        "a MULTI -> +OK
         a SHUTDOWN NOSAVE -> -ERR Command not allowed inside a transaction
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a MULTI -> +OK
         a SHUTDOWN NOSUCH -> -ERR Command not allowed inside a transaction
         a DISCARD -> +OK",
    ),
    (
        "nor can SAVE",
        "a MULTI -> +OK
         a SAVE -> -ERR Command not allowed inside a transaction
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.",
    ),
    (
        "BGSAVE takes SCHEDULE and nothing else",
        "a BGSAVE now -> -ERR syntax error
         a BGSAVE SCHEDULE now -> -ERR syntax error
         a LASTSAVE now -> -ERR wrong number of arguments for 'lastsave' command",
    ),
    (
        "DISCARD after an error, and the next transaction is a good one",
        "a MULTI -> +OK
         a NOSUCH -> -ERR unknown command 'NOSUCH', with args beginning with: \n\
         a DISCARD -> +OK
         a MULTI -> +OK
         a PING -> +QUEUED
         a EXEC -> *1 | +PONG",
    ),
    (
        "an error in execution stops nothing and undoes nothing",
        "a SET s abc -> +OK
         a MULTI -> +OK
         a INCR s -> +QUEUED
         a RENAME missing x -> +QUEUED
         a COPY s s -> +QUEUED
         a SET s v FOO -> +QUEUED
         a GETRANGE s 0 x -> +QUEUED
         a SELECT 99 -> +QUEUED
         a MOVE s 0 -> +QUEUED
         a SET done 1 -> +QUEUED
         a EXEC -> *8 | -ERR value is not an integer or out of range | -ERR no such key \
| -ERR source and destination objects are the same | -ERR syntax error | -ERR value is not an integer or out of range \
| -ERR DB index is out of range | -ERR source and destination objects are the same | +OK
         b GET done -> $1 | 1",
    ),
    (
        "a changed key that is watched",
        "a WATCH k -> +OK
         b SET k v -> +OK
         a MULTI -> +OK
         a SET k w -> +QUEUED
         a EXEC -> *-1
         a GET k -> $1 | v",
    ),
    (
        "null is another one in RESP3",
        "a HELLO 3 -> ~
         a WATCH k -> +OK
         b SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> _
         a MULTI -> +OK
         a GET missing -> +QUEUED
         a EXEC -> *1 | _",
    ),
    (
        "a change after MULTI counts",
        "a WATCH k -> +OK
         a MULTI -> +OK
         a GET k -> +QUEUED
         b SET k v -> +OK
         a EXEC -> *-1",
    ),
    (
        "a change before WATCH does not, nor one of another key",
        "b SET k v -> +OK
         a WATCH k -> +OK
         b SET j v -> +OK
         a MULTI -> +OK
         a GET k -> +QUEUED
         a EXEC -> *1 | $1 | v",
    ),
    (
        "one of many watched keys is enough",
        "a WATCH one two three -> +OK
         a WATCH four five -> +OK
         b SET three v -> +OK
         a MULTI -> +OK
         a EXEC -> *-1
         a WATCH one two three -> +OK
         a WATCH four five -> +OK
         b DEL three five -> :1
         a MULTI -> +OK
         a EXEC -> *-1
         a WATCH one two three -> +OK
         a WATCH four five -> +OK
         b DEL three five -> :0
         a MULTI -> +OK
         a EXEC -> *0",
    ),
    (
        "a key watched twice is watched once",
        "a WATCH k k -> +OK
         a WATCH k -> +OK
         a UNWATCH -> +OK
         b SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> *0
         a WATCH k k -> +OK
         b SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> *-1",
    ),
    (
        "UNWATCH forgets changes that were seen already",
        "a WATCH k -> +OK
         b SET k v -> +OK
         a WATCH j -> +OK
         a UNWATCH -> +OK
         a MULTI -> +OK
         a EXEC -> *0
         a UNWATCH -> +OK",
    ),
    (
        "WATCH after a change does not forget it",
        "a WATCH k -> +OK
         b SET k v -> +OK
         a WATCH k -> +OK
         a MULTI -> +OK
         a EXEC -> *-1",
    ),
    (
        "every end of a transaction forgets what is watched",
        "a WATCH k -> +OK
         b SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> *-1
         a MULTI -> +OK
         a EXEC -> *0
         a WATCH k -> +OK
         a MULTI -> +OK
         a EXEC -> *0
         b SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> *0
         a WATCH k -> +OK
         a MULTI -> +OK
         a GET -> -ERR wrong number of arguments for 'get' command
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         b SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> *0",
    ),
    (
        "an abort is told before a changed key",
        "a WATCH k -> +OK
         b SET k v -> +OK
         a MULTI -> +OK
         a GET -> -ERR wrong number of arguments for 'get' command
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.",
    ),
    (
        "a client's own write before MULTI counts, one by its transaction does not",
        "a WATCH k -> +OK
         a SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> *-1
         a WATCH k -> +OK
         a MULTI -> +OK
         a SET k w -> +QUEUED
         a GET k -> +QUEUED
         a EXEC -> *2 | +OK | $1 | w",
    ),
    (
        "of two transactions that watch and write one key, the second fails",
        "a WATCH k -> +OK
         b WATCH k -> +OK
         a MULTI -> +OK
         b MULTI -> +OK
         a INCR k -> +QUEUED
         b INCR k -> +QUEUED
         a EXEC -> *1 | :1
         b EXEC -> *-1
         b GET k -> $1 | 1",
    ),
    (
        "a transaction that only reads, is discarded or is aborted changes nothing for others",
        "b SET k v -> +OK
         a WATCH k -> +OK
         b MULTI | GET k | EXEC -> +OK | +QUEUED | *1 | $1 | v
         b MULTI | SET k w | DISCARD -> +OK | +QUEUED | +OK
         b MULTI -> +OK
         b SET k w -> +QUEUED
         b GET -> -ERR wrong number of arguments for 'get' command
         b EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a MULTI -> +OK
         a EXEC -> *0",
    ),
    (
        "two keys in two databases",
        "a WATCH k -> +OK
         a SELECT 1 -> +OK
         a WATCH k -> +OK
         a SELECT 2 -> +OK
         b SELECT 2 -> +OK
         b SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> *0
         a SELECT 0 -> +OK
         a WATCH k -> +OK
         a SELECT 1 -> +OK
         a WATCH k -> +OK
         a SELECT 2 -> +OK
         b SELECT 1 -> +OK
         b SET k v -> +OK
         a MULTI -> +OK
         a EXEC -> *-1",
    ),
    (
        "SWAPDB does not carry watches along",
        "b SET k v -> +OK
         b SET j v -> +OK
         a SELECT 1 -> +OK
         a WATCH j -> +OK
         b SWAPDB 0 2 -> +OK
         a MULTI -> +OK
         a EXEC -> *0
         a WATCH j -> +OK
         b SWAPDB 1 2 -> +OK
         a MULTI -> +OK
         a EXEC -> *-1
         a WATCH j -> +OK
         b DEL j -> :0
         b SELECT 1 -> +OK
         b DEL j -> :1
         a MULTI -> +OK
         a EXEC -> *-1",
    ),
    (
        "SELECT within a transaction is for the rest of it and stays",
        "a MULTI -> +OK
         a SET k zero -> +QUEUED
         a SELECT 1 -> +QUEUED
         a SET k one -> +QUEUED
         a EXEC -> *3 | +OK | +OK | +OK
         a GET k -> $3 | one
         b GET k -> $4 | zero",
    ),
    (
        "SELECT in a transaction that is not executed changes nothing",
        "a MULTI -> +OK
         a SELECT 1 -> +QUEUED
         a DISCARD -> +OK
         a is -> db=0
         a MULTI -> +OK
         a SELECT 1 -> +QUEUED
         a GET -> -ERR wrong number of arguments for 'get' command
         a EXEC -> -EXECABORT Transaction discarded because of previous errors.
         a is -> db=0
         a WATCH k -> +OK
         a SET k v -> +OK
         a MULTI -> +OK
         a SELECT 1 -> +QUEUED
         a EXEC -> *-1
         a is -> db=0",
    ),
    (
        "whole databases within a transaction",
        "b MSET a 1 b 2 c 3 d 4 -> +OK
         a MULTI -> +OK
         a DBSIZE -> +QUEUED
         a FLUSHALL -> +QUEUED
         a DBSIZE -> +QUEUED
         a MSET k v j w -> +QUEUED
         a DBSIZE -> +QUEUED
         a SWAPDB 0 1 -> +QUEUED
         a DBSIZE -> +QUEUED
         a KEYS * -> +QUEUED
         a SELECT 1 -> +QUEUED
         a MGET j k -> +QUEUED
         a EXEC -> *10 | :4 | +OK | :0 | +OK | :2 | +OK | :0 | *0 | +OK | *2 | $1 | w | $1 | v",
    ),
    (
        "keys of several shards within a transaction",
        "a MULTI -> +OK
         a MSET a 1 b 2 c 3 d 4 e 5 -> +QUEUED
         a RENAME a f -> +QUEUED
         a COPY b g -> +QUEUED
         a INCRBY c 7 -> +QUEUED
         a DEL d e nosuch -> +QUEUED
         a MSETNX a x c y -> +QUEUED
         a MGET a b c d e f g -> +QUEUED
         a EXEC -> *7 | +OK | +OK | :1 | :10 | :2 | :0 | *7 | $-1 | $1 | 2 | $2 | 10 | $-1 | $-1 | $1 | 1 | $1 | 2",
    ),
    (
        "HELLO within a transaction changes the protocol of the replies that follow",
        "a MULTI -> +OK
         a GET missing -> +QUEUED
         a HELLO 9 -> +QUEUED
         a HELLO x -> +QUEUED
         a EXEC -> *3 | $-1 | -NOPROTO unsupported protocol version | -ERR Protocol version is not an integer or out of range
         a MULTI -> +OK
         a HELLO 3 -> +QUEUED
         a EXEC -> ~
         a GET missing -> _",
    ),
    (
        "commands about the connection are queued as others",
        "a MULTI -> +OK
         a CLIENT SETNAME me -> +QUEUED
         a CLIENT GETNAME -> +QUEUED
         a AUTH x -> +QUEUED
         a CLIENT SETNAME \"a b\" -> +QUEUED
         a ECHO e -> +QUEUED
         a EXEC -> *5 | +OK | $2 | me | -ERR AUTH <password> called without any password configured for the default user. \
Are you sure your configuration is correct? | -ERR Client names cannot contain spaces, newlines or special characters. | $1 | e
         a is -> name=me",
    ),
    (
        "CLIENT REPLY OFF within a transaction leaves a hole in the reply",
        "a MULTI -> +OK
         a PING -> +QUEUED
         a CLIENT REPLY OFF -> +QUEUED
         a PING -> +QUEUED
         a EXEC -> *3 | +PONG
         a CLIENT REPLY ON -> +OK
         a MULTI -> +OK
         a CLIENT REPLY OFF -> +QUEUED
         a PING -> +QUEUED
         a CLIENT REPLY ON -> +QUEUED
         a PING -> +QUEUED
         a EXEC -> *4 | +OK | +PONG
         a PING -> +PONG",
    ),
    (
        "CLIENT REPLY SKIP within a transaction skips the reply to what follows EXEC",
        "a MULTI -> +OK
         a PING -> +QUEUED
         a CLIENT REPLY SKIP -> +QUEUED
         a PING -> +QUEUED
         a EXEC -> *3 | +PONG | +PONG
         a PING | ECHO x -> $1 | x",
    ),
    (
        "a transaction without replies is executed all the same",
        "a CLIENT REPLY SKIP | MULTI | SET k v | EXEC -> +QUEUED | *1 | +OK
         a CLIENT REPLY OFF | MULTI | SET k w | EXEC | CLIENT REPLY ON -> +OK
         b GET k -> $1 | w
         a CLIENT REPLY OFF | MULTI | SET k x | CLIENT REPLY ON | EXEC -> +OK
         b GET k -> $1 | x",
    ),
    (
        "RESET ends the transaction and forgets what is watched",
        "a WATCH k -> +OK
         a SELECT 2 -> +OK
         a MULTI -> +OK
         a SET k v -> +QUEUED
         a RESET -> +RESET
         a EXEC -> -ERR EXEC without MULTI
         a is -> multi=-1 db=0
         b SET k w -> +OK
         a MULTI -> +OK
         a GET k -> +QUEUED
         a EXEC -> *1 | $1 | w",
    ),
    (
        "QUIT ends the connection, and nothing is executed",
        "a MULTI -> +OK
         a SET k v -> +QUEUED
         a QUIT -> +OK
         a is closed
         b GET k -> $-1",
    ),
    (
        "a broken request ends the connection, and nothing is executed",
        "a MULTI -> +OK
         a SET k v -> +QUEUED
         a *1 | $-1 -> -ERR Protocol error: invalid bulk length
         a is closed
         b GET k -> $-1",
    ),
    (
        "a client that leaves takes its transaction and its watches along",
        "a WATCH k -> +OK
         a MULTI -> +OK
         a SET k v -> +QUEUED
         a leaves
         b SET k w -> +OK
         a EXEC -> -ERR EXEC without MULTI
         a MULTI -> +OK
         a GET k -> +QUEUED
         a EXEC -> *1 | $1 | w",
    ),
    (
        "a pipeline may hold whole transactions",
        "a WATCH k | MULTI | SET k v | GET k | EXEC | GET k -> +OK | +OK | +QUEUED | +QUEUED | *2 | +OK | $1 | v | $1 | v
         a MULTI | EXEC | MULTI | INCR n | EXEC | WATCH n | INCR n | MULTI | INCR n | EXEC | GET n \
-> +OK | *0 | +OK | +QUEUED | *1 | :1 | +OK | :2 | +OK | +QUEUED | *-1 | $1 | 2
         a MULTI | INCR n | DISCARD | GET n -> +OK | +QUEUED | +OK | $1 | 2",
    ),
    (
        "CLIENT LIST shows how many commands wait",
        "a is -> multi=-1 flags=
         a WATCH k -> +OK
         a is -> multi=-1 flags= cmd=watch
         a MULTI -> +OK
         a is -> multi=0 flags=x cmd=multi
         a PING -> +QUEUED
         a CLIENT GETNAME -> +QUEUED
         a is -> multi=2 flags=x cmd=client|getname
         a MULTI -> -ERR MULTI calls can not be nested
         a is -> multi=2 flags=x cmd=multi
         a EXEC -> *2 | +PONG | $-1
         a is -> multi=-1 flags= cmd=exec",
    ),
    (
        "CLIENT INFO within a transaction still sees it",
        "a MULTI -> +OK
         a PING -> +QUEUED
         a CLIENT INFO -> +QUEUED
         a EXEC -> ~ multi=2 flags=x cmd=exec
         a CLIENT INFO -> ~ multi=-1 flags= cmd=client|info",
    ),
    (
        "once the transaction is bound to be aborted, commands are checked and no longer kept",
        "a MULTI -> +OK
         a PING -> +QUEUED
         a GET -> -ERR wrong number of arguments for 'get' command
         a PING -> +QUEUED
         a is -> multi=1 flags=x cmd=ping
         a GET -> -ERR wrong number of arguments for 'get' command
         a DISCARD -> +OK",
    ),
    (
        "a watched key that expires is changed, even if nobody has looked",
        "b SET k v PX 200 -> +OK
         a WATCH k -> +OK
         @300ms
         a MULTI -> +OK
         a EXEC -> *-1",
    ),
    (
        "also if it expires within the transaction, and if it was set again",
        "b SET k v PX 200 -> +OK
         a WATCH k -> +OK
         c WATCH k -> +OK
         a MULTI -> +OK
         a GET k -> +QUEUED
         @300ms
         a EXEC -> *-1
         b SET k v -> +OK
         c MULTI -> +OK
         c EXEC -> *-1",
    ),
    (
        "a time to live that was taken away in time is a change too",
        "b SET k v PX 200 -> +OK
         a WATCH k -> +OK
         b PERSIST k -> :1
         c WATCH k -> +OK
         @300ms
         a MULTI -> +OK
         a EXEC -> *-1
         c MULTI -> +OK
         c GET k -> +QUEUED
         c EXEC -> *1 | $1 | v",
    ),
    (
        "a key that had expired before WATCH was missing",
        "b SET k v PX 20 -> +OK
         @40ms
         a WATCH k -> +OK
         b GET k -> $-1
         a MULTI -> +OK
         a GET k -> +QUEUED
         a EXEC -> *1 | $-1",
    ),
];

/// What Redis does and Corevault does not, on purpose: why is in `exceptions`.
pub const SCRIPTS_OF_REDIS_ONLY: &[(&str, &str)] = &[
    (
        "CLIENT LIST shows that a watched key was changed",
        "a WATCH k -> +OK
         a is -> multi=-1 flags=
         b SET k v -> +OK
         a is -> multi=-1 flags=d
         a MULTI -> +OK
         a is -> multi=0 flags=xd
         a EXEC -> *-1
         a is -> multi=-1 flags=
         a WATCH k -> +OK
         b DEL k -> :1
         a UNWATCH -> +OK
         a is -> flags=",
    ),
    (
        "once a watched key was changed, commands are checked and no longer kept",
        "a WATCH k -> +OK
         a MULTI -> +OK
         a PING -> +QUEUED
         a PING -> +QUEUED
         b SET k v -> +OK
         a PING -> +QUEUED
         a is -> multi=2 flags=xd
         a EXEC -> *-1",
    ),
];
