//! CLIENT ID, GETNAME, SETNAME name, SETINFO <LIB-NAME | LIB-VER> value — the names by which a connection is known.
//! A name is a word of printable ASCII, so that the lines of CLIENT LIST stay separable; an empty one means none.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};

pub fn id(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    cx.reply.integer(cx.caller.id as i64);
    Ok(())
}

pub fn get_name(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let name = cx.session().name.clone();
    if name.is_empty() {
        cx.reply.null();
    } else {
        cx.reply.bulk(&name);
    }
    Ok(())
}

pub fn set_name(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    check_name(args.get(2))?;
    cx.session().name = args.get(2).to_vec();
    cx.reply.ok();
    Ok(())
}

pub fn set_info(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (option, value) = (args.get(2), args.get(3));
    let session = cx.session();
    let attribute = if args.is(2, "LIB-NAME") {
        &mut session.library_name
    } else if args.is(2, "LIB-VER") {
        &mut session.library_version
    } else {
        let option = String::from_utf8_lossy(option);
        return Err(CommandError::Detailed(format!("ERR Unrecognized option '{option}'")));
    };
    if !is_printable_word(value) {
        let option = String::from_utf8_lossy(option);
        let text = format!("ERR {option} cannot contain spaces, newlines or special characters.");
        return Err(CommandError::Detailed(text));
    }
    *attribute = value.to_vec();
    cx.reply.ok();
    Ok(())
}

/// Whether a client may be called so.
pub fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if is_printable_word(name) {
        Ok(())
    } else {
        Err(CommandError::Text("ERR Client names cannot contain spaces, newlines or special characters."))
    }
}

fn is_printable_word(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn names_are_words_and_can_be_taken_back() {
        check(
            r#"CLIENT GETNAME | CLIENT SETNAME me | CLIENT GETNAME | CLIENT SETNAME "" | CLIENT GETNAME"#,
            "nil | OK | me | OK | nil",
        );
        check(
            r#"CLIENT SETNAME "a b""#,
            "ERR Client names cannot contain spaces, newlines or special characters.",
        );
        check("CLIENT ID", "1");
    }

    #[test]
    fn library_attributes_have_their_own_texts() {
        check("CLIENT SETINFO LIB-NAME x | CLIENT SETINFO lib-ver 1.2", "OK | OK");
        check("CLIENT SETINFO FOO x", "ERR Unrecognized option 'FOO'");
        check(
            r#"CLIENT SETINFO Lib-Ver "1 2""#,
            "ERR Lib-Ver cannot contain spaces, newlines or special characters.",
        );
    }
}
