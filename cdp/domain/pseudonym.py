"""A name for somebody whose identifiers are not shown."""

import hashlib
from typing import Final

# Of nature, and nobody's first name: it shall read as a name that was made up, and mock nobody.
_FIRST: Final = """
    agile ample apt azure balmy bold brave breezy bright brisk calm candid cheery chief civil
    clear clever cobalt cool copper coral cosy crisp curious daring dawn deft dewy easy
    evening fabled fair festive fine fleet fluent fond fresh frosty gallant game gentle
    glad gleaming golden good grand green handy hardy harvest hearty honest humble indigo ivory
    jaunty jolly jovial joyful keen kind lilac lime linen lively lucid lucky lunar lush mellow
    merry mild mint misty modern modest morning neat nimble noble opal open orange patient peach
    pearl placid plucky polite prompt proud pure quick quiet rapid regal rosy royal rustic
    saffron serene silent silver sincere sky smart snowy solar solid spring spry stable starry
    steady summer sunny sure swift tidal tidy timely topaz tranquil true trusty unique upbeat
    valiant velvet vernal vivid warm winter wise witty worthy zesty
""".split()  # noqa: SIM905 - words read better as words
_SECOND: Final = """
    acacia agate alder almond anise apple apricot aspen aster avocet azalea bamboo banyan barley
    basalt bay beech birch bittern bluebell breeze brook bunting buttercup camellia canary cape
    cardinal cedar cherry chestnut cicada cloud clover comet condor cormorant cornflower cove
    crane creek crocus curlew cypress daffodil delta dove dune dunlin eagle egret elm falcon fen
    fern fig finch fir fjord flax flint foxglove freesia gannet garnet geyser glacier glade
    godwit goldfinch granite grebe grove gull harbour harrier hawk heath hemlock heron hill
    hoopoe hyacinth ibis island jackdaw juniper kestrel kingfisher kite kiwi knoll lagoon lake
    lapwing larch lark lavender lemon lichen lilac linnet lotus lupin magnolia magpie mallow
    mango maple marble marigold marsh meadow mesa mimosa moor moss nectar nightingale nutmeg oak
    oasis onyx orchid oriole osprey owl palm pebble pelican peony petrel pine pipit plover plum
    pond poplar prairie primrose puffin quail quartz quince rain raven reed reef ridge river
    rook sandpiper sequoia shore siskin skylark snipe sorrel sparrow spruce starling stork
    summit swallow swan swift sycamore tamarind tanager teal tern thistle thrush thyme topaz
    tulip valley verbena wagtail walnut warbler waterfall waxwing willow wren yarrow yew zinnia
""".split()  # noqa: SIM905 - words read better as words


def pseudonym(profile_id: str) -> str:
    """Return what a profile is called where none of its identifiers is shown: Quiet Heron 42.

    It is made of the opaque id alone, so it says nothing of the person, and is the same on every
    page and after every refresh. There are more than two million: two of the fifty of a list are
    called alike in one list of two thousand.
    """
    digest = int.from_bytes(hashlib.sha256(profile_id.encode(errors="surrogatepass")).digest()[:8])
    digest, number = divmod(digest, 90)
    digest, first = divmod(digest, len(_FIRST))
    second = digest % len(_SECOND)
    return f"{_FIRST[first].capitalize()} {_SECOND[second].capitalize()} {number + 10}"
