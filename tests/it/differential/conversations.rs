//! What is no series of well-formed commands: inline commands, broken requests and the ends of connections.
//! Each is sent on a connection of its own, whose every byte is compared.
//!
//! No inline command here holds a NUL: Redis looks for the end of its line as for that of a C string and waits for ever, where
//! Corevault takes the NUL for a space.

/// Sent as they are; then the client sends nothing more and reads until the server closes.
pub const CONVERSATIONS: &[&[u8]] = &[
    b"",
    b"PING\r\n",
    b"PING\n",
    b"\r\n\r\n\nPING\r\n",
    b"  ping   \t \r\n",
    b"ping \"quo ted\\n\\x41\\\"\" extra\r\n",
    b"echo \"quo ted\\n\\x41\\\"\"\r\n",
    b"echo 'it\\'s'\r\n",
    b"echo ''\r\n",
    b"echo \"unbalanced\r\nPING\r\n",
    b"echo \"a\"b\r\nPING\r\n",
    b"echo 'a'b\r\nPING\r\n",
    b"nosuch with arguments\r\n",
    b"get\r\n",
    b"QUIT\r\nPING\r\n",
    b"*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n",
    b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*2\r\n$0\r\n\r\n$1\r\nx\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    b"*x\r\nPING\r\n",
    b"*\r\nPING\r\n",
    b"*1\r\n+PING\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$4 \r\nPING\r\n",
    b"*01\r\n$4\r\nPING\r\n",
    b"*+1\r\n$4\r\nPING\r\n",
    b"*1000000000000\r\n",
    b"*2147483648\r\n",
    b"*9223372036854775808\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$9223372036854775808\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nab",
    b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI",
    b"*1\r\n$4\r\nPING\r\ngarbage\r\n*1\r\n$4\r\nPING\r\n",
    b"GET / HTTP/1.1\r\nAccept: */*\r\nUser-Agent: x\r\n",
    b"$4\r\nPING\r\n",
    b"+PING\r\n",
    b"*3\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nnope\r\n*1\r\n$4\r\nPING\r\n",
    b"client reply off\r\nping\r\necho x\r\nclient reply skip\r\nping\r\nclient reply on\r\nping\r\n",
    b"client reply skip\r\nping\r\nping\r\n",
    b"client reply skip\r\nclient reply skip\r\nping\r\nping\r\n",
    b"client reply off\r\nnosuch\r\nget\r\nclient reply on\r\n",
    b"client reply off\r\nclient reply skip\r\nping\r\nping\r\nclient reply on\r\nping\r\n",
    b"client reply off\r\nquit\r\nping\r\n",
];

/// Those too long to write down.
pub fn long_conversations() -> Vec<Vec<u8>> {
    let ones = [b'1'; 70_000];
    vec![
        vec![b'x'; 70_000],
        [b"*".as_slice(), &ones].concat(),
        [b"*1\r\n$".as_slice(), &ones].concat(),
        [b"echo ".as_slice(), &[b'y'; 60_000], b"\r\nPING\r\n"].concat(),
    ]
}
