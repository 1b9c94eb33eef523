//! Many user names, found by exact key, in little memory: one text for all keys, one small row for each.

/// Rows found by key. Filled first, then sorted once, then asked.
#[derive(Debug)]
pub(crate) struct KeyIndex<T> {
    keys: String,
    rows: Vec<Row<T>>,
}

#[derive(Debug)]
struct Row<T> {
    key_at: usize,
    key_len: u32,
    value: T,
}

impl<T> KeyIndex<T> {
    /// An index that expects about so many rows.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        // What a caller expects may be wrong, or come from a damaged store: never reserved without bound.
        let rows = rows.min(4_000_000);
        Self { keys: String::with_capacity(rows * 28), rows: Vec::with_capacity(rows) }
    }

    /// Adds a row. The index must be [`KeyIndex::sort`]ed before it is asked.
    pub(crate) fn push(&mut self, key: &str, value: T) {
        let key_len = u32::try_from(key.len()).unwrap_or(u32::MAX);
        let key_at = self.keys.len();
        self.keys.push_str(&key[..key.floor_char_boundary(key_len as usize)]);
        self.rows.push(Row { key_at, key_len, value });
    }

    /// Puts the rows in order: by key, and within a key by `order`.
    pub(crate) fn sort<O: Ord>(&mut self, order: impl Fn(&T) -> O) {
        let keys = &self.keys;
        let key = |row: &Row<T>| &keys[row.key_at..row.key_at + row.key_len as usize];
        self.rows
            .sort_unstable_by(|a, b| key(a).cmp(key(b)).then_with(|| order(&a.value).cmp(&order(&b.value))));
    }

    /// The places of the rows with this key.
    pub(crate) fn find(&self, key: &str) -> std::ops::Range<usize> {
        let begin = self.rows.partition_point(|row| self.key_of(row) < key);
        let length = self.rows[begin..].iter().take_while(|row| self.key_of(row) == key).count();
        begin..begin + length
    }

    /// The key of the row at a place.
    pub(crate) fn key(&self, place: usize) -> &str {
        self.key_of(&self.rows[place])
    }

    /// The value of the row at a place.
    pub(crate) fn value(&self, place: usize) -> &T {
        &self.rows[place].value
    }

    /// The value of the row at a place, to be changed (not what it is ordered by).
    pub(crate) fn value_mut(&mut self, place: usize) -> &mut T {
        &mut self.rows[place].value
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.capacity() + self.rows.capacity() * size_of::<Row<T>>()
    }

    fn key_of(&self, row: &Row<T>) -> &str {
        &self.keys[row.key_at..row.key_at + row.key_len as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_exact_key_and_equal_keys_come_in_order() {
        let mut index = KeyIndex::with_capacity(4);
        for (key, value) in [("b", 3), ("a", 2), ("b", 1), ("ab", 0), ("", 9)] {
            index.push(key, value);
        }
        index.sort(|value| *value);
        let found = |key: &str| index.find(key).map(|place| *index.value(place)).collect::<Vec<_>>();
        assert_eq!((found("a"), found("b"), found("ab"), found("")), (vec![2], vec![1, 3], vec![0], vec![9]));
        assert!(found("c").is_empty() && found("B").is_empty() && found("a ").is_empty());
        assert_eq!(index.key(0), "");
    }
}
