//! Names of users, as this machine has them: the same number may have another name within a container.

use rustc_hash::FxHashMap;

/// Names by user id, each looked up once.
#[derive(Debug, Default)]
pub struct Users(FxHashMap<u32, Option<String>>);

impl Users {
    /// The user's name; `None`: the machine has no such user.
    pub fn name(&mut self, uid: u32) -> Option<&str> {
        let name = self.0.entry(uid).or_insert_with(|| {
            uzers::get_user_by_uid(uid).map(|user| user.name().to_string_lossy().into_owned())
        });
        name.as_deref()
    }
}

/// The id of a user, by name or by number.
pub fn user_id(user: &str) -> Option<u32> {
    user.parse().ok().or_else(|| Some(uzers::get_user_by_name(user)?.uid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_its_name_everywhere() {
        let mut users = Users::default();
        for _ in 0..2 {
            assert_eq!(users.name(0), Some("root"));
        }
        assert_eq!(users.name(u32::MAX - 7), None);
        assert_eq!((user_id("root"), user_id("4711"), user_id("no such user")), (Some(0), Some(4711), None));
    }
}
