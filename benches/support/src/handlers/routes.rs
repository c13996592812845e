//! The routes of every subject that has sessions.

/// Expands to a router with the handlers of the calling module, which may be generic over one type.
macro_rules! routes {
    ($($generic:ident)?) => {
        axum::Router::new()
            .route("/untouched", get(async || "ok"))
            .route("/fill", get(fill$(::<$generic>)?))
            .route("/read", get(read$(::<$generic>)?))
            .route("/write", get(write$(::<$generic>)?))
            .route("/create", get(create$(::<$generic>)?))
            .route("/home", get(home$(::<$generic>)?))
            .route("/cart", get(cart$(::<$generic>)?))
            .route("/renew", get(renew$(::<$generic>)?))
            .route("/key/{key}", get(key$(::<$generic>)?))
            .route("/increment", get(increment$(::<$generic>)?))
            .route("/slow", get(slow$(::<$generic>)?))
            .route("/logout", get(logout$(::<$generic>)?))
            .route("/keys", get(keys$(::<$generic>)?))
            .route("/n", get(n$(::<$generic>)?))
            .route("/user", get(has_user$(::<$generic>)?))
    };
}
