//! A store URL if no store is compiled in.

use session_layer::connect;

/// The error names the missing feature.
#[tokio::test]
async fn connect_names_the_feature() {
    for store in ["memory", "file", "memcached"] {
        let error = connect(&format!("{store}:")).await.expect_err("not compiled in");
        assert_eq!(
            error.to_string(),
            format!(
                "the store `{store}:` is not compiled in: enable the feature `{store}` of session-layer in Cargo.toml"
            )
        );
    }
}
