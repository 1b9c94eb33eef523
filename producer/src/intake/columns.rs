//! Which columns of a table are read, and which key of a JSON object is the user.

use super::{error::IntakeError, row::Cells};

/// What an error tells to call the column that names users.
pub(super) const ACCEPTED: &str = "email, user, user_id, username, login or id";

/// What a column that names users holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Addresses alone.
    Addresses,
    /// Addresses or the vendor's ids.
    Anything,
}

/// Column names that name users, compared without case, spaces and punctuation (`E-Mail Address` is `emailaddress`,
/// `userId` is `userid`). Where several are there, the first of this list counts: an address means the same person to
/// the exporting system and to the vendor, while `id` is often a number that the vendor has never heard of.
const USERS: [(&str, Names); 25] = [
    ("email", Names::Addresses),
    ("emailaddress", Names::Addresses),
    ("mail", Names::Addresses),
    ("mailaddress", Names::Addresses),
    ("emailadresse", Names::Addresses),
    ("adresseemail", Names::Addresses),
    ("useremail", Names::Addresses),
    ("useremailaddress", Names::Addresses),
    ("workemail", Names::Addresses),
    ("workemailaddress", Names::Addresses),
    ("primaryemail", Names::Addresses),
    ("primaryemailaddress", Names::Addresses),
    ("primaryworkemail", Names::Addresses),
    ("emailprimarywork", Names::Addresses),
    ("businessemail", Names::Addresses),
    ("businessemailaddress", Names::Addresses),
    ("companyemail", Names::Addresses),
    ("corporateemail", Names::Addresses),
    ("user", Names::Anything),
    ("userid", Names::Anything),
    ("userprincipalname", Names::Anything),
    ("upn", Names::Anything),
    ("username", Names::Anything),
    ("login", Names::Anything),
    ("id", Names::Anything),
];

/// What a column or key is to intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Names the user; the lower the rank, the sooner it is the one that counts.
    User {
        /// Its place among the accepted names.
        rank: usize,
        /// What it holds.
        names: Names,
    },
    /// Says what is wanted.
    Action,
    /// Says why.
    Reason,
    /// Not read.
    Other,
}

/// What a column or key of this name is to intake.
pub(super) fn meaning(name: &str) -> Meaning {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    match plain.as_str() {
        "action" => Meaning::Action,
        "reason" => Meaning::Reason,
        plain => USERS
            .iter()
            .enumerate()
            .find(|(_, (known, _))| *known == plain)
            .map_or(Meaning::Other, |(rank, (_, names))| Meaning::User { rank, names: *names }),
    }
}

/// A column that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    index: usize,
    pub(super) label: Box<str>,
}

/// The columns that are read, by their places in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// Fields in the header; a row may have fewer, and more where they are blank.
    pub(super) count: usize,
    pub(super) user: Column,
    pub(super) names: Names,
    pub(super) action: Option<Column>,
    pub(super) reason: Option<Column>,
    /// Columns that could name users too, and are not read.
    pub(super) passed_over: Vec<Box<str>>,
}

impl Columns {
    /// The layout of a file without a header: one user a line.
    pub(super) fn list() -> Self {
        Self {
            count: 1,
            user: Column { index: 0, label: "user".into() },
            names: Names::Anything,
            action: None,
            reason: None,
            passed_over: Vec::new(),
        }
    }

    /// The layout that a header gives; `None` where no name in it names users.
    pub(super) fn of_header(file: &str, header: &[impl AsRef<str>]) -> Result<Option<Self>, IntakeError> {
        let mut users: Vec<(usize, Names, Column)> = Vec::new();
        let (mut action, mut reason) = (None, None);
        for (index, label) in header.iter().enumerate() {
            let label = label.as_ref();
            let column = Column { index, label: label.into() };
            let again = match meaning(label) {
                Meaning::User { rank, names } => {
                    let again = users.iter().any(|(known, ..)| *known == rank);
                    users.push((rank, names, column));
                    again
                }
                Meaning::Action => action.replace(column).is_some(),
                Meaning::Reason => reason.replace(column).is_some(),
                Meaning::Other => false,
            };
            if again {
                return Err(IntakeError::AmbiguousColumn { name: file.to_owned(), column: label.to_owned() });
            }
        }
        users.sort_by_key(|(rank, ..)| *rank);
        let mut users = users.into_iter();
        Ok(users.next().map(|(_, names, user)| Self {
            count: header.len(),
            user,
            names,
            action,
            reason,
            passed_over: users.map(|(.., column)| column.label).collect(),
        }))
    }

    /// The cells of one row that are read.
    pub(super) fn cells<'a>(&'a self, row: &'a str, fields: &[super::table::Field]) -> Cells<'a> {
        let cell = |column: &Column| fields.get(column.index).map_or("".into(), |field| field.of(row));
        let optional =
            |column: &'a Option<Column>| column.as_ref().map(|column| (column.label.as_ref(), cell(column)));
        Cells {
            user: (self.user.label.as_ref(), cell(&self.user)),
            names: self.names,
            action: optional(&self.action),
            reason: optional(&self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(header: &[&str]) -> Option<String> {
        Columns::of_header("f.csv", header).unwrap().map(|columns| columns.user.label.into())
    }

    #[test]
    fn names_count_in_any_case_and_punctuation() {
        for name in [
            "email",
            "E-Mail",
            "E-mail Address",
            "Email - Primary Work",
            "USER_ID",
            "userId",
            "User ID",
            "Login",
            "id",
        ] {
            assert_eq!(chosen(&["Name", name, "Dept"]).as_deref(), Some(name));
        }
        assert_eq!(chosen(&["Name", "Employee ID", "Personal e-mail", ""]), None);
    }

    #[test]
    fn an_address_counts_before_an_id_wherever_it_stands() {
        assert_eq!(chosen(&["id", "user_id", "user", "Email"]).as_deref(), Some("Email"));
        assert_eq!(chosen(&["id", "username", "userId"]).as_deref(), Some("userId"));
        let columns = Columns::of_header("f.csv", &["ID", "Work e-mail", "Mail"]).unwrap().unwrap();
        assert_eq!(columns.user.label.as_ref(), "Mail");
        assert_eq!(columns.passed_over, ["Work e-mail", "ID"].map(Box::<str>::from));
    }

    #[test]
    fn two_columns_of_one_name_are_refused_rather_than_guessed() {
        for header in [["email", "E-Mail"], ["action", "Action"], ["Reason", "reason"]] {
            let error = Columns::of_header("f.csv", &header).unwrap_err().to_string();
            assert!(error.contains(&format!("two columns called {:?}", header[1])), "{error}");
        }
        assert_eq!(chosen(&["Name", "Name", "email"]).as_deref(), Some("email"));
    }
}
