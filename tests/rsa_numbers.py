"""An RSA key for tests, what it makes of any number, and cube roots for forgeries."""

from binascii import unhexlify

from hal import Hal, software

HAL = Hal([software.Engine()])
SIZE = 256

# A key made for these tests: n, e, p, q, dp, dq, qinv.
KEY = (
    (
        b"ad3ebc131b027e910efe35716bd599ceda1ab047341c319d3ce1e432f5b446ea8da9419ab53beaca"
        b"4b164f794b00194f295ef355327340f17edad5987d0e715fe712558ebe4fa1c436d8fef08e060dfb"
        b"4b56296f89ed2835e0e9684773c9edb395ea4f9094a044263cc80bdf6a8be3d8417a85cb9c5e48f3"
        b"b146cf27d7d21a8102eea7e28ab6358cff85c2b55c245733babb381f64ffc408b52fd41d9a54183e"
        b"00ef1484d418847e84b1298d7da70e69d9296b0c4cd0a94b86809a6f1b69aa318690aecfab4bc5de"
        b"cd1accef0c5f68cf3157c48023863a5f2135e021f2aabccc9f486e9319ecfe3379bfe81bc91a3b4b"
        b"6b5c945cd1a027e772936daa5e245403"
    ),
    b"010001",
    (
        b"dae0a4b79aa53a8944f4b6bf2db733d6b954537ed5d6818e983bf73f61909a85587c0b13336818a7"
        b"85cbbeb1cfc5e6f990bc42da54c4331cb9bac50060b3ed134c5513ccb2552d550c75dffd47a2fd07"
        b"25893ebac56093bbd6522f6d2f6f033786251acc8b2905444c53fb8509fe699d74809430c0a45ef7"
        b"6d8c5f1ee23c27eb"
    ),
    (
        b"caa0cb291ba5d971f17f55c2d65b987f5652606a06ee9b095c06fc5c4a49012899dbfdef3b053a33"
        b"ed2a9191e121f8095394bb47be04ada1b03dbe270d065765a03b577d1bbf24c8b844213cb886e931"
        b"d5d033f6d9905f482422523d1ce7fed1aaa109da3101dc06c599165e98a45faeafdecb6e72329805"
        b"d6525432bfbc5649"
    ),
    (
        b"52d0dee22d9c48fab9619267e1c748d0fd0ca00f04a006234b0c9d6f98dddae98b625bda6700031c"
        b"17aed0b77cb317c2e3f5a7a1eea2d1e8138a4c91e9050b35db12f1cbe8c9fbbe0b59ea676e1c887a"
        b"94c44a3ce703b4c244c491f7511442f6564661ce74f50f6e192749aabbee4c4dec4fde4258119971"
        b"2b3d0a9ca7e33503"
    ),
    (
        b"8b04643e10d4e9696e39617a6a1caf7475a1d0ba0d857862a47bba7a0b11293554d204d733d3f349"
        b"9ae680b6e811a91da4f53ec40acf24dcf0907bbc490857bfc67dd0196a86ea52b7712ea87d253a2a"
        b"51ba255caf898885731d04f51eb6e031b2f20753661a137da5e5d0de17b5765be01767d49f8eac94"
        b"1ca5a154ac0d27d9"
    ),
    (
        b"537044eb4617dd6c20ddaaba71f4e86144b63837d1cd6c03c6cd7d2ce09d077fe64698400365c4ae"
        b"9b7bf710ca30aacac221e862a3a526060d9b00bc30cce386dfc579fed9d15b65ff6f3e697dff225d"
        b"9f265620b8b9fec217f7f1669082b88bdb4f8f1793f45a65c4a79e8127e617e2782218f0078fe046"
        b"bbc3fb79ddf2f64f"
    ),
)
KEY = tuple([unhexlify(x) for x in KEY])


def power(encoded, key=KEY):
    """What the private key makes of any encoded message: a signature, or a forgery to be tried."""
    n, _, p, q, dp, dq, qinv = key
    p, q, qinv = [int.from_bytes(x, "big") for x in (p, q, qinv)]
    sp = int.from_bytes(HAL.modexp((encoded % p).to_bytes(len(key[2]), "big"), dp, key[2]), "big")
    sq = int.from_bytes(HAL.modexp((encoded % q).to_bytes(len(key[3]), "big"), dq, key[3]), "big")
    return (sq + (sp - sq) * qinv % p * q).to_bytes(len(n), "big")


def cube_root(x):
    low, high = 0, 1 << 8 * SIZE // 3 + 1
    while low < high:
        middle = (low + high) // 2
        if middle**3 < x:
            low = middle + 1
        else:
            high = middle
    return low
