"""The words of codes: 2 048 of them, so that each carries 11 bits.

Chosen for this program, to be read aloud and typed by somebody who listens:

- common English, 4 to 7 letters, lower case a to z;
- the first four letters tell a word from all others;
- no two words are one typing error apart (a letter more, less, other, or two
  neighbours swapped), and of words that sound alike at most one is here.

The list is part of the protocol: a code means its words, a room code their
numbers. It never changes.
"""

from __future__ import annotations

# Specification
BITS_PER_WORD = 11
ROOM_CODE_WORDS = 4
# Implementation
MAX_EDITS = 2  # farther away is no misspelling

_TEXT = """
abacus abbey abrupt absent absorb absurd academy accent accuse ache acid acorn across actual
adapt adjust admire adobe advance advice aerial affair affirm afford afraid after again agent
agile agree ahead airport alarm album alert alibi alive alley allow almond alone alpha alpine
amateur amaze amber amend amount amuse analog anchor ancient angel angry animal ankle annual
answer anthem antler anvil anyone apex appeal apple approve april apron aquatic arcade arch
arctic arena argon argue arise armor army aroma arrest arrive artist ascend asleep aspect
asphalt aspirin asset assist assume athlete atlas atom atrium attach attend attic auburn auction
audio august author auto autumn avenue avocado avoid awake award away awesome awning axis azure
baby badge bagel baggage bake balance ballet bamboo banana bandage bank banner barber barely
bargain baron barrel basic basket bassoon bath battery beacon beagle beam beard beauty beaver
become bedroom beef beetle begin behave beige belief belong beluga bench benefit benign best
bevel bias bicycle bind bingo biology birch biscuit bishop bison bitter black blade blast blend
bless blink blossom blouse blur boat bobcat bodega body boil bone bonfire bonnet bonus book
boost border boring borrow boss botany bottle bounce brain branch brass brave bread breeze brew
brick bridge brief bright bronze broom brother brown brush bubble bucket budget buffalo bugle
builder bulb bulldog bumper bundle bunker bunny burden burger burn burst busy butler buyer buzz
bypass cabbage cabin cable cactus caddie cadet cage calcium calico call camel camp canal candle
canoe canteen canvas canyon capable capital captain caramel carbon card caress cargo carpet
carry carve cashew casino castle casual catalog catch cause caution cavalry cedar celery cello
cement census central ceramic certain chain chalk chamber change chaos chapel charm chase chat
check cheese chef chemist cherry chess chicken child chimney chisel choice chorus chuckle chunk
church cider cinema circle citizen citrus city civil claim clarity classic claw clean cleft
clerk clever click client cliff climb clinic clip cloth cloud clown club clumsy cluster coach
cobalt cobra cobweb cocoa code coffee cohort cold collect color column combine comfort common
company concert conduct confirm connect console contact cool copilot copper copy coral cork
corona correct cosmic cost cottage cough count couple courage cousin cower coyote crab cracker
cradle craft crane crash crater crayon crazy cream credit crest cricket crimson cringe crisp
critic crocus crop crowd crumb crunch crystal cuckoo cuddle culture curfew curious curly cursor
cushion custom cute cycle cynic cypress dagger dahlia daily damage dance dapper dark darling
dash data dawn dazzle debate debris decade decent decline decor deep default defend define
degree delay deliver deluxe demand denim dense dentist deny depart deposit depth deputy derby
derive descend design desk despite detail detect detour develop device devote diagram dial
diamond diary dictate diesel differ digital dignity dilemma dime dimple dinner diploma direct
dirt disc dismay display distant ditch diver divide dizzy dock doctor dodge doll dolphin domain
domino donate donkey donor doodle dormant dorsal dose double dozen dragon drama drape draw dress
drift drill drink drizzle drone drowsy drum dubious duet duke dungeon duplex durable duty dwell
dynamic early earnest earring earth easy ebony echo eclair eclipse ecology economy edible edit
educate eerie effect effort elastic elbow elder elegant element elite email embark emblem
embrace emerald emotion emperor empire employ empty enable enact enchant encore endless endorse
endure energy enforce engine engrave enhance enigma enjoy enlist enrich enter entire entry envy
enzyme epic episode epoch equal equip erase erode erosion errand erupt escape essay essence
estate eternal ethics evict evident evoke example excess excite exclaim excuse exhaust exhibit
exile exist exotic expand expect explain export express extend extinct extra eyebrow eyelid
fabric factor faculty fade faith fajita falcon false family famous fancy fantasy farm fashion
fast fatigue faucet fauna feather federal feed fence ferment fern fertile fetch fever fiber
fiction fiddle field fierce fiesta fifteen figment figure film filter final finch finger fire
first fiscal fish fjord flag flame flannel flash flavor fleet flicker flight flint float flock
floor flora flow fluent fluffy fluid flurry flute foam focus foliage folk follow fondue foot
forage force forest forget fortune forum forward fossil foster found fragile frantic freckle
free freight fresh friday friend frigid frisbee frog frolic front frozen fruit fudge fuel
fulfill fumble fungus furnace fuse fusion future fuzzy gadget galaxy gallery galore gambit gamma
garbage garden garlic garment garnish gather gauge gaze gear gecko gelatin general genius gentle
genuine geology gerbil gesture geyser giant gift giggle gimmick giraffe girder girl give glacier
glad glamor glance glare glass gleam glide glimpse glitter globe gloom glory glue goal goblet
goggles golf gondola good goose gopher gorge gospel gossip gourmet govern gown grace grand
gravity gray grease green grid griffin grizzly grocery groove grotto group grow grumble guard
guava guess guild guitar gulp guppy guru gust gutter gymnast habit hacker haddock half hallway
hammer hamster hand happy harbor harmony harness harp harvest hasty haunt hawk hazard hazel hazy
health heaven hedge height helium helmet help hemlock herald herb hermit herring hexagon hiccup
hidden high hike hill hinge hint hippo history hobby hockey hoist holiday honest hope horizon
hotel house hover huge human humid humor hundred hungry hurdle husband husky hustle hybrid
hydrant hyena iceberg icicle icing icon ideal igloo ignore iguana image imitate immense impact
import impress impulse inbox incense include income indigo indoor infant inform ingot inhale
inherit initial inject inlet input inquiry inside inspire install intact intend invent invite
invoice iodine iris island isolate italic item ivory jacket jaguar january jasmine javelin jazz
jelly jersey jigsaw jingle jogger join joke journal jovial jubilee juggle juice july jumbo jump
junior junk jurist karate karma kayak kebab keen kennel ketchup kettle kick kidney kilo kimono
kinetic king kinship kiosk kitchen kite kitten kiwi kneel knife knit knob knock knuckle koala
kumquat label labor lace lacquer ladder ladle lady lagoon lamb lancer lantern lapse large
lasagna laser lattice laugh laundry lava lawyer leader leaf league learn lease lecture legal
legend leisure lemon lemur length lentil leopard lesser letter levity liaison liberty library
license life lilac lily limber limit linen lion liquid list liter little lizard llama lobster
local locket locust loft logic logo lonely loop lord lotion lottery lotus lounge love lowland
lucid lucky luggage lullaby lunar lung lurch luxury lyric macaw machine maestro magenta magic
magnet magpie mailbox major mammal manage mandate mango mansion mantra manual maple marble
margin marina maroon marsh marvel mascot mask master matrix maximum meadow meager mean measure
media medley meeting mellow melody melt member memory mention menu mercy merge merit merlin mesh
message meteor method metro micro mighty migrate mild militia mimic mineral minimum minute
miracle mirror miss mixture mobile mocha model modify module mohair molten moment monarch monday
money monster month moon moraine morsel mortar mosaic mother motor motto movie muesli muffin
mule munch mural museum music mustang mutual muzzle myriad mystery myth nacho name napkin narrow
nation natural navy nebula neck nectar needle neglect neon nephew nerve network neutral newborn
news nibble nickel nifty nine noble noise nomad nominal normal north nostril notable note
nothing notice nougat nourish novel nozzle nuance nuclear nugget number numeral nurse nurture
nutmeg nylon oasis oatmeal obelisk obey object oblige oboe observe obtain obvious occur ocean
octagon october odor odyssey offer office offset ogre okay olympic omega omelet omit once onion
online onset ooze opal open opera opinion oppose option oracle orange orbit orchard oregano
orient origami oriole osmosis ostrich otter outback outdoor outfit outlaw output owner oxide
oxygen oyster ozone pacific pack paddle padlock pagoda paint pajamas palace palm pamper pancake
panda panel panic panther papaya parade parcel pardon parent parody parrot parsley party pass
pasta patient patrol pattern pave payment peanut pebble pecan pelican penalty pencil pendant
penguin people pepper perch perfect period perky person petunia phantom phoenix phone photo
physics piano picnic picture pigeon piglet pile pilgrim pillow pilot pimento pioneer pirate
piston pixel pizza plaid planet plate play plaza pledge plenty plier pluck plug plumber plunge
plywood podcast podium poem polar police polka pollen polygon pomelo poncho pond popcorn poppy
portion potato pothole pouch poultry powder prairie precise predict prefer prelude premium
prepare present pretty price primary prism private problem process produce profile program
project promise pronto proof prosper proud provide prowl prudent prune public pudding pueblo
pull pulse puma pupil puppet purify purple push putty pyramid python quack quail quake quality
quantum quarter quasar queen quench query quest quiet quince quirk quiver quiz quota rabbit
raccoon radar radio rail rainbow raisin rally random rapid rare rascal rattle raven ravioli
razor reach ready realize reason rebound recall receive recipe record recycle redeem reduce
reflex reform refresh refund region regret regular reject relax release rely remain remedy
remind remote render renew renown rent reopen repair repeat replace report reptile request
rescue reserve resist respect restore result retire retreat return reunion reveal revive revolve
reward rhino rhubarb rhythm ribbon ribcage rich ringlet rinse ripe ripple risk risotto ritual
rival roast robe robin robot robust rodeo rogue rollick romance rookie rooster rosebud rotate
rowboat royal rubber ruby rudder rugged ruin ruler runner runway rupture russet saber sadness
safari safe saffron sailor salad saliva salmon salsa salt salute salvage samba sample sanctum
sapling sardine satchel satin saturn saunter sausage savanna savior scale scan scarf scatter
scheme school science scone scooter scout scrap screen script scroll scrub scuba sculpt seafood
search seat seaweed second secret section secure sedan seek segment select self seminar senate
senior sequel serene series sermon serpent service sesame session setback setup seven shabby
shadow shaft shallow shampoo shanty shape shawl shed shell sheriff shield shimmer shine shirt
shiver shock shoe shovel shrimp shrug shuffle shut sibling sickle sierra sign silent silicon
silk silly silver similar sinew siphon siren sister sixteen sizzle skate skeptic sketch skill
skipper skunk skyline slalom slam slender slice slogan slope slot slush small smart smile smirk
smoke smooth smudge snack snail snake snap sneaker sneeze sniff snorkel snow snug soccer social
soda sojourn soldier solemn solid solo solve somber sonata song soprano sorbet soup south
soybean space spaniel spatial speak special speed sphere spider spike spin spirit splash split
spoil sponge spoon sport spray spread spring sprout spruce spur square squeeze squid stable
stadium stage stamp stand star steady stencil step stereo stick sting stipend stirrup stitch
stomach stool story stove stream strike strong stucco student stuff stumble stunt sturdy subject
sublime submit subtle suburb subway success sudden suede suffix sugar suggest suit summer
sunrise super supply supreme surface surplus survey sushi suspect sustain swarm sweater sweep
swerve swift swim swirl swoop symptom syntax syrup system tabby tackle tactic tadpole taffy
talent talk talon tambour tandem tape tardy target tartan tassel taste tavern taxi teapot teddy
tedious teeth tell temple tenant tennis tenor tension tepid term terrace text thank thaw theater
theme theory thermal thesis thick thief thimble thing thirty thorn thought thread thrive throat
thumb thunder tiara ticket tidy tiger tight timid tinfoil tinker tinsel tiptoe tired tissue
title today toddler toga toilet token tomato tongue tonic topaz torch tornado torrent torso
total toucan tour toxin trade traffic tragedy tram transit travel treaty trek trellis tremor
trend trestle trial tribe trigger trinket trio triple triumph trivia trolley trophy trouble
trowel truck true truffle trumpet trust truth tsunami tube tucker tuesday tugboat tuition tulip
tumult tundra tunnel turbo turf turkey turmoil turnip turtle tusk tutor tutu tuxedo tweak tweed
twelve twenty twig twist tycoon typhoon typical ukulele ultra unaware uncover undo unearth
uneven unfair unfold unhappy uniform unique unkind unknown unlike unlock unpack unrest unseen
unusual unveil unzip upbeat update upgrade uphold uplift upper upright uproar upset uptown
uranium urban urchin urge usage useful usher usual utensil utility utmost utopia vacant vaccine
vacuum vague valid valve vanilla vapor various vase vault vector vehicle velcro velvet vendor
veneer venom venture veranda verdict verify verse vessel veteran viable vibrant vicar victory
video view vigor viking villa vintage vinyl viper virtual visa visit visual vital vivid voice
volcano volley volt volume vortex voucher vowel voyage waffle wagon waiter walnut walrus waltz
wander want warrior wasp wayside weary weasel weave wedding weekend weird welcome welfare whaler
wheat whiff whimper white wicker widget width winter wisdom witness witty wobble woman wombat
worry worship wreath wreck wrench wrinkle wrong xenon yacht yeast yogurt yonder young yucca
yummy zebra zenith zigzag zipper zircon zither zodiac
"""
WORDS = tuple(_TEXT.split())
NUMBERS = {word: number for number, word in enumerate(WORDS)}


def room_code_words(digest: bytes) -> tuple[str, ...]:
    """The four words of the first 44 bits of ``digest`` (at least 6 bytes)."""
    bits = int.from_bytes(digest[:6], "big") >> 4
    shifts = range(BITS_PER_WORD * (ROOM_CODE_WORDS - 1), -1, -BITS_PER_WORD)
    return tuple(WORDS[bits >> shift & len(WORDS) - 1] for shift in shifts)


def completions(beginning: str) -> tuple[str, ...]:
    """The words that begin so, in alphabetical order."""
    return tuple(word for word in WORDS if word.startswith(beginning.lower()))


def nearest(word: str) -> str:
    """The word that somebody most likely meant (least edits, then alphabet), or empty."""
    edits, known = min((_edits(word, known), known) for known in WORDS)
    return known if edits <= MAX_EDITS else ""


def _edits(left: str, right: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(right) + 1))
    for at, letter in enumerate(left, 1):
        before, row[0] = row[0], at
        for column, other in enumerate(right, 1):
            change = before + (letter != other)
            before = row[column]
            row[column] = min(change, row[column] + 1, row[column - 1] + 1)
    return row[-1]
