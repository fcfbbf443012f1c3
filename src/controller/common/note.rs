//! Notes about what a pass has done, for events. They name fields, never values.

use crate::api::event::Happening;
use crate::controller::engine::managed::Pass;

/// Reports that an object was created on the server.
pub(crate) fn note_registered<S>(pass: &mut Pass<S>, type_: &str) {
    pass.note(Happening::Registered, format!("Registered the {type_} on the server."));
}

/// Reports that the resource changed its object on the server. `fields`: what differed, by name.
pub(crate) fn note_updated<S>(pass: &mut Pass<S>, type_: &str, fields: &[&str]) {
    if !fields.is_empty() {
        let note = format!("Updated {} of the {type_} on the server.", in_words(fields));
        pass.note(Happening::Updated, note);
    }
}

/// Reports that an object is deleted on the server.
pub(crate) fn note_deleted<S>(pass: &mut Pass<S>, type_: &str) {
    pass.note(Happening::Deleted, format!("Deleted the {type_} on the server."));
}

/// Reports that an object stays on the server without its resource.
pub(crate) fn note_released<S>(pass: &mut Pass<S>, type_: &str) {
    let note = format!("The {type_} stays on the server, and this resource no longer manages it.");
    pass.note(Happening::Released, note);
}

/// What a pass did with a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// It was as wanted, or only its labels or annotations differed.
    Nothing,
    /// It did not exist.
    Created,
    /// It held something else.
    Replaced,
    /// It was not the resource's own.
    TakenOver,
}

/// Reports that a Secret which others deleted or changed was written again.
pub(crate) fn note_secret_restored<S>(pass: &mut Pass<S>, name: &str, wrote: Wrote) {
    let what = match wrote {
        Wrote::Nothing | Wrote::TakenOver => return,
        Wrote::Created => "deleted",
        Wrote::Replaced => "changed",
    };
    let note = format!("Secret `{name}` was {what}, and the operator has written it again.");
    pass.note(Happening::SecretRestored, note);
}

/// Reports that a Secret existed before the resource, if so.
pub(crate) fn note_secret_adopted<S>(pass: &mut Pass<S>, name: &str, wrote: Wrote) {
    if wrote == Wrote::TakenOver {
        let note = format!("Secret `{name}` existed before and now belongs to this resource.");
        pass.note(Happening::Adopted, note);
    }
}

/// Reports that a Secret has another name.
pub(crate) fn note_secret_renamed<S>(pass: &mut Pass<S>, former: &str, name: &str) {
    let note = format!("Secret `{name}` takes the place of Secret `{former}`, which is deleted.");
    pass.note(Happening::SecretRenamed, note);
}

/// Names as words of a sentence.
pub(crate) fn in_words(names: &[&str]) -> String {
    match names {
        [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_into_words() {
        for (names, expected) in [
            (&[][..], ""),
            (&["a"], "a"),
            (&["a", "b"], "a and b"),
            (&["a", "b", "c"], "a, b and c"),
        ] {
            assert_eq!(in_words(names), expected);
        }
    }
}
