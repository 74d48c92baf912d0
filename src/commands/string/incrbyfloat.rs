//! INCRBYFLOAT key n — add to the number at a key in the x87 extended format and return the sum, up to 17 places after the point.
//! A missing key counts as 0. The expiry stays.

use crate::base::args::Args;
use crate::base::float::LongDouble;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::store::object::StringRef;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let old = match cx.keys.peek_string(cx.db, &key, cx.now_ms)? {
        None => LongDouble::from_i64(0),
        Some(StringRef::Integer(number)) => LongDouble::from_i64(number),
        Some(StringRef::Bytes(bytes)) => LongDouble::parse(bytes).ok_or(CommandError::NotFloat)?,
    };
    let sum = old + LongDouble::parse(args.get(2)).ok_or(CommandError::NotFloat)?;
    if !sum.is_finite() {
        return Err(CommandError::Text("ERR increment would produce NaN or Infinity"));
    }
    let text = sum.format_human();
    cx.keys.set_string_keep_expiry(cx.db, &key, text.as_bytes(), cx.now_ms, clock);
    cx.reply.bulk(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn adds() {
        check("SET k 10.50 | INCRBYFLOAT k 0.1 | INCRBYFLOAT k -5", "OK | 10.6 | 5.6");
        check("SET k 5.0e3 | INCRBYFLOAT k 2.0e2 | GET k", "OK | 5200 | 5200");
        check("INCRBYFLOAT k 0.1 | INCRBYFLOAT k 0.2", "0.1 | 0.3");
        check("SET k 3 | INCRBYFLOAT k 1.1 | INCRBYFLOAT k -1.1 | INCR k", "OK | 4.1 | 3 | 4");
        check("SET k 1 EX 10 | INCRBYFLOAT k 1 | TTL k", "OK | 2 | 10");
        check("SET k 1 PX 5 | @5ms | INCRBYFLOAT k 1 | TTL k", "OK | 1 | -1");
    }

    #[test]
    fn wants_finite_numbers() {
        check("SET k abc | INCRBYFLOAT k 1", "OK | ERR value is not a valid float");
        check("INCRBYFLOAT k x | EXISTS k", "ERR value is not a valid float | 0");
        check("SET k \" 1\" | INCRBYFLOAT k 1", "OK | ERR value is not a valid float");
        check("INCRBYFLOAT k nan", "ERR value is not a valid float");
        check("INCRBYFLOAT k inf", "ERR increment would produce NaN or Infinity");
        check("SET k -inf | INCRBYFLOAT k inf", "OK | ERR increment would produce NaN or Infinity");
    }
}
