//! Keys of files, series and sets.

#[test]
fn a_file_names_another_relative_to_its_own_folder() {
    for (key, other, named) in [
        ("a/b.vtt", "a/s_{number}.jpg", "s_{number}.jpg"),
        ("b.vtt", "sheets/{number}.jpg", "sheets/{number}.jpg"),
        ("a/text/b.vtt", "a/sheets/{number}.jpg", "../sheets/{number}.jpg"),
        ("a/b/c.vtt", "d.jpg", "../../d.jpg"),
    ] {
        assert_eq!(super::below_folder_of(key, other), named);
    }
}
