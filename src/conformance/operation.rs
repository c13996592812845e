//! The names of the contract's methods.

use std::fmt;

/// Defines the enum, the lists and the names in one place.
macro_rules! operations {
    (required { $($required:ident = $required_name:literal,)* }
     provided { $($provided:ident = $provided_name:literal,)* }
     optional { $($optional:ident = $optional_name:literal,)* }) => {
        /// A method of [`SessionStore`](crate::SessionStore).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Operation {
            $(#[doc = concat!("`", $required_name, "`: required.")] $required,)*
            $(#[doc = concat!("`", $provided_name, "`: provided from the required ones.")] $provided,)*
            $(#[doc = concat!("`", $optional_name, "`: of a capability, which a store may lack.")] $optional,)*
        }

        impl Operation {
            /// The methods that every store implements.
            pub const REQUIRED: &'static [Self] = &[$(Self::$required,)*];
            /// The methods that the contract provides from the required ones.
            pub const PROVIDED: &'static [Self] = &[$(Self::$provided,)*];
            /// The methods of the capabilities, which a store may lack.
            pub const OPTIONAL: &'static [Self] = &[$(Self::$optional,)*];

            /// The name of the method.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$required => $required_name,)*
                    $(Self::$provided => $provided_name,)*
                    $(Self::$optional => $optional_name,)*
                }
            }
        }
    };
}

operations! {
    required {
        Load = "load",
        Create = "create",
        Update = "update",
        Touch = "touch",
        Remove = "remove",
    }
    provided {
        End = "end",
        Rename = "rename",
        Refresh = "refresh",
        OwnerEpoch = "owner_epoch",
        EnsureEpoch = "ensure_epoch",
        RenewEpoch = "renew_epoch",
        Metadata = "metadata",
        Flush = "flush",
        Close = "close",
    }
    optional {
        Ids = "ids",
        Count = "count",
        Clear = "clear",
        Sweep = "sweep",
        DeleteIdle = "delete_idle",
        ListOwner = "list_owner",
        Acquire = "acquire",
        Release = "release",
        Released = "released",
    }
}

impl Operation {
    /// Every method that returns a future, the required ones first.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        [Self::REQUIRED, Self::PROVIDED, Self::OPTIONAL].into_iter().flatten().copied()
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
