//! Checks a Scope for what every server refuses.

use crate::api::Scope;
use crate::api::scope::check_template;
use crate::error::{Error, Result};

pub(crate) fn check(scope: &Scope) -> Result<()> {
    let checked = scope.spec.template.as_deref().map_or(Ok(()), check_template);
    checked.map_err(|problem| Error::InvalidField {
        field: "template",
        problem: problem.to_owned(),
    })
}
