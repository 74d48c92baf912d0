//! HINCRBYFLOAT key field n — add to the number in a field in the x87 extended format and return the sum, up to 17 places after the
//! point. A missing field counts as 0, a missing hash is created. The field's expiry stays.

use crate::base::args::Args;
use crate::base::float::LongDouble;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::store::hash::Hash;
use crate::store::listpack::Item;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let by = LongDouble::parse(args.get(3)).ok_or(CommandError::NotFloat)?;
    if !by.is_finite() {
        return Err(CommandError::Text("ERR value is NaN or Infinity"));
    }
    let (key, field, clock) = (cx.key(args, 1), args.get(2), cx.clock());
    let text = cx.keys.change_or_create::<Hash, _>(cx.db, &key, cx.now_ms, clock, |hash| {
        let old = match hash.view().get(field) {
            None => LongDouble::from_i64(0),
            Some(Item::Integer(number)) => LongDouble::from_i64(number),
            Some(Item::Bytes(bytes)) => {
                LongDouble::parse(bytes).ok_or(CommandError::Text("ERR hash value is not a float"))?
            }
        };
        let sum = old + by;
        if !sum.is_finite() {
            return Err(CommandError::Text("ERR increment would produce NaN or Infinity"));
        }
        let text = sum.format_human();
        hash.set_keeping_expiry(field, text.as_bytes());
        Ok(text)
    })??;
    cx.reply.bulk(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn adds() {
        check("HINCRBYFLOAT h a 10.5 | HINCRBYFLOAT h a 0.1 | HGETALL h", "10.5 | 10.6 | [a, 10.6]");
        check("HSET h a 5.0e3 | HINCRBYFLOAT h a 2.0e2 | HINCRBY h a 1", "1 | 5200 | 5201");
        check("HSET h a 3 | HINCRBYFLOAT h a 1.1 | HINCRBYFLOAT h a -1.1", "1 | 4.1 | 3");
        check(
            "HSET h a 1 | HEXPIRE h 5 FIELDS 1 a | HINCRBYFLOAT h a .5 | HTTL h FIELDS 1 a",
            "1 | [1] | 1.5 | [5]",
        );
    }

    #[test]
    fn wants_finite_numbers() {
        check("HINCRBYFLOAT h a x | EXISTS h", "ERR value is not a valid float | 0");
        check("HINCRBYFLOAT h a nan", "ERR value is not a valid float");
        check("HINCRBYFLOAT h a inf | EXISTS h", "ERR value is NaN or Infinity | 0");
        check("HSET h a inf | HINCRBYFLOAT h a 1", "1 | ERR increment would produce NaN or Infinity");
        check("HSET h a \" 1\" | HINCRBYFLOAT h a 1", "1 | ERR hash value is not a float");
        check("SET k v | HINCRBYFLOAT k a inf", "OK | ERR value is NaN or Infinity");
        check("SET k v | HINCRBYFLOAT k a 1", &format!("OK | {}", super::super::tests::WRONG_TYPE));
    }
}
