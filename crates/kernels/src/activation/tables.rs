//! The constants of the activations, in the precision of each type.

use crate::data_type::DataType;
use crate::number::Number;

/// What depends on the type's digits and exponents. All numbers are of the type itself.
///
/// Coefficients, that of the lowest power first, are minimax fits by Remez's algorithm in 60 digits; each was then
/// rounded and the rest fitted anew (`exp`), or the rounded ones were moved by units in the last place as long as the
/// error shrank (`tail`).
pub struct Tables {
    /// log₂ e.
    pub log2_e: f64,
    /// ln 2 in two parts; the products of the first with exponents are exact.
    pub ln_2: [f64; 2],
    /// E with e^r = 1 + r + r²·E(r) for |r| ≤ ln 2 / 2.
    pub exp: &'static [f64],
    /// The least and the greatest argument of the logistic function: below, y / (1 + e^−y) is less than half of
    /// the least number, for all slopes that are computed in vectors; above, 1 + e^−y is 1.
    pub logistic_ends: [f64; 2],
    /// 1 + e^−y is computed times 2 to this power: e^−y may be beyond all numbers.
    pub logistic_power: i32,
    /// Above, tanh is 1.
    pub tanh_end: f64,
    /// P and R with erfc(t/√2)/2 · e^(t²/2) = P(t) / (k·t·P(t) + R(t)) for 0 ≤ t ≤ [`Tables::gelu_end`], which is
    /// positive throughout. R falls behind k·t·P as t grows, so that the errors of P nearly cancel.
    pub tail: [&'static [f64]; 2],
    /// k: √(2π), or near it.
    pub tail_slope: f64,
    /// Below the negative of it, y·Φ(y) is less than half of the least number.
    pub gelu_end: f64,
    /// e^(−t²/2) is computed times 2 to this power: it may be below all normal numbers.
    pub gelu_power: i32,
    /// 2·√(2/π)·0.044715 in two parts.
    pub cube: [f64; 2],
    /// 2·√(2/π) in two parts, the first of half of the digits.
    pub line: [f64; 2],
    /// The numbers that these make [`Tables::logistic_ends`], rounded away from 0.
    pub gelu_tanh_ends: [f64; 2],
}

/// `exp` is within 2^−27.9 of e^r, relative to it, `tail` within 2^−26.4.
const F32: Tables = Tables {
    log2_e: 1.442_695_021_629_333_5,
    ln_2: [0.693_145_751_953_125, 1.428_606_765_330_187e-6],
    exp: &[
        0.499_999_940_395_355_2,
        0.166_665_211_319_923_4,
        0.041_668_388_992_548,
        0.008_368_716_575_205_326,
        0.001_381_459_762_342_274_2,
    ],
    logistic_ends: [-131.0, 30.0],
    logistic_power: -64,
    tanh_end: 10.0,
    tail: [
        &[
            0.725_000_023_841_857_9,
            0.636_893_749_237_060_5,
            0.266_702_741_384_506_2,
            0.059_259_139_001_369_476,
            0.006_019_200_664_013_624,
        ],
        &[
            1.450_000_047_683_715_8,
            0.613_434_731_960_296_6,
            0.151_394_054_293_632_5,
            0.014_885_826_036_334_038,
            1.047_746_991_389_431e-5,
        ],
    ],
    tail_slope: 2.506_601_333_618_164,
    gelu_end: 15.0,
    gelu_power: 64,
    cube: [0.071_354_813_873_767_85, 2.398_832_465_999_59e-9],
    line: [1.595_703_125, 6.599_660_264_328_122e-5],
    gelu_tanh_ends: [-11.637, 6.504],
};

/// `exp` is within 2^−56.3 of e^r, relative to it, `tail` within 2^−57.6.
const F64: Tables = Tables {
    log2_e: std::f64::consts::LOG2_E,
    ln_2: [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10],
    exp: &[
        0.500_000_000_000_001_1,
        0.166_666_666_666_664_13,
        0.041_666_666_666_530_155,
        0.008_333_333_333_494_465,
        0.001_388_888_894_363_041_5,
        0.000_198_412_695_065_743_5,
        2.480_149_309_861_711_6e-5,
        2.755_758_637_738_108_5e-6,
        2.763_024_848_136_806_7e-7,
        2.500_006_057_119_299_7e-8,
    ],
    logistic_ends: [-775.0, 60.0],
    logistic_power: -128,
    tanh_end: 20.0,
    tail: [
        &[
            0.725,
            1.201_014_642_907_387_4,
            0.986_251_689_714_374_4,
            0.518_782_682_164_390_3,
            0.191_777_582_228_570_25,
            0.051_824_091_972_120_345,
            0.010_353_973_409_629_454,
            0.001_512_096_833_364_745_6,
            0.000_155_076_997_320_729_15,
            1.015_720_738_190_574_4e-5,
            3.266_564_141_362_668e-7,
        ],
        &[
            1.45,
            1.741_656_399_871_846_8,
            1.076_646_868_952_810_4,
            0.432_631_447_875_870_1,
            0.122_578_008_832_357_31,
            0.025_184_299_525_897_76,
            0.003_739_344_403_769_486_5,
            0.000_387_082_761_100_375_2,
            2.546_034_350_202_852_2e-5,
            8.188_061_994_331_579e-7,
            4.686_416_372_166_555e-17,
        ],
    ],
    tail_slope: 2.506_628_274_630_459_3,
    gelu_end: 39.5,
    gelu_power: 128,
    cube: [0.071_354_816_272_600_25, -6.175_149_918_155_315e-19],
    line: [1.595_769_107_341_766_4, 1.426_396_435_433_791e-8],
    gelu_tanh_ends: [-21.81, 8.651],
};

impl Tables {
    /// Those of a type.
    #[inline(always)]
    pub const fn of<T: Number>() -> &'static Self {
        match T::TYPE {
            DataType::F32 => &F32,
            DataType::F64 => &F64,
        }
    }
}
