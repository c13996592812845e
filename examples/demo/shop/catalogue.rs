//! The goods that the shop sells. The cart accepts other items as well: those of tests need no price.

pub(crate) struct Good {
    pub(crate) sku: &'static str,
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) cents: u64,
    /// The colour of its leaf on the page.
    pub(crate) colour: &'static str,
}

pub(crate) const GOODS: &[Good] = &[
    Good { sku: "sencha", name: "Sencha", about: "Green, grassy, first flush", cents: 1_250, colour: "#5f8f3e" },
    Good { sku: "assam", name: "Assam", about: "Black, malty, takes milk", cents: 890, colour: "#8c3f2b" },
    Good { sku: "oolong", name: "Oolong", about: "Half oxidised, orchid, long", cents: 1_690, colour: "#b5833a" },
    Good { sku: "rooibos", name: "Rooibos", about: "Red, sweet, no caffeine", cents: 640, colour: "#c2552f" },
    Good { sku: "gyokuro", name: "Gyokuro", about: "Shaded, deep, for patience", cents: 2_980, colour: "#2f6b57" },
    Good { sku: "earl-grey", name: "Earl Grey", about: "Black, with bergamot", cents: 970, colour: "#4a5a86" },
];

pub(crate) fn good(sku: &str) -> Option<&'static Good> {
    GOODS.iter().find(|good| good.sku == sku)
}
