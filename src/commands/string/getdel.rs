//! GETDEL key — return the string value of a key and remove the key. Nil for a missing key. Wrong type: the key is kept.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::string::reply_string;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let key = cx.key(args, 1);
    let value = cx.keys.string(cx.db, &key, cx.now_ms, None)?;
    let is_present = value.is_some();
    reply_string(&mut cx.reply, value);
    if is_present {
        cx.keys.remove(cx.db, &key, cx.now_ms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn removes_what_it_returns() {
        check("SET k v | GETDEL k | EXISTS k | GETDEL k", "OK | v | 0 | nil");
        check("SET k v PX 5 | @5ms | GETDEL k", "OK | nil");
    }
}
