//! The routes of every subject that has sessions.

/// A router over the handlers of the module in which this is called.
macro_rules! routes {
    () => {
        axum::Router::new()
            .route("/untouched", get(async || "ok"))
            .route("/fill", get(fill))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/create", get(create))
            .route("/home", get(home))
            .route("/cart", get(cart))
            .route("/renew", get(renew))
            .route("/key/{key}", get(key))
            .route("/increment", get(increment))
            .route("/slow", get(slow))
            .route("/logout", get(logout))
            .route("/keys", get(keys))
            .route("/n", get(n))
            .route("/user", get(has_user))
    };
}
