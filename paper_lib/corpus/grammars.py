"""Sentence grammars, one per domain, and the split that a sentence belongs to.

A grammar is text: `name: alternative | alternative | ...`, where longer rules go on in indented lines and `{name}`
stands for any alternative of that rule. A sentence is an alternative of `sentence`; alternatives are drawn evenly.
Things, places and times that voice commands are about are also spoken of in messages and calls: a model that is to
learn commands knows most of their words.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache

import numpy as np

from paper_lib.settings import Domain, Split

# Rules that several domains draw words from; a domain's own rule of the same name comes first.
SHARED = """
room: kitchen | bedroom | garage | office | hallway | bathroom | garden | studio
device: light | heater | fan | radio | speaker | camera | oven | printer
opening: door | window | gate | blinds | curtains
tens: twenty | thirty | forty | fifty
hour: one | two | three | four | five | six | seven | eight | nine | ten | eleven | twelve
minute: ten | twenty | thirty | forty five
unit: seconds | minutes | hours
day: monday | tuesday | wednesday | thursday | friday | saturday | sunday | today | tomorrow | tonight
name: anna | peter | maria | james | susan | oliver | david | henry | laura
surname: baker | fisher | mason | taylor | walker | murphy | collins
city: london | paris | boston | tokyo | berlin | madrid | chicago | sydney | dublin | lisbon | rome
shop: airport | station | hospital | library | museum | market | bakery | pharmacy
music: jazz | blues | rock | folk | news | sports | opera
item: milk | bread | eggs | butter | coffee | cheese | apples | rice | pasta | sugar | soap | batteries
"""

GRAMMARS: dict[Domain, str] = {
    # Voice commands and queries of three to six words.
    "short_form": """
sentence: turn {state} the {room} {device} | {change} the {room} {device} | {change} the {room} {device} {day}
    | set the {room} {device} to {number} | is the {room} {device} {state} | {close} the {room} {opening}
    | timer for {number} {unit} | add {number} {unit} | wake me at {hour} {minute} {day}
    | alarm at {hour} {minute} {day} | {number} {times} {number} | what is {number} {times} {number}
    | how many {unit} until {hour} {minute}
    | {contact} {name} {surname} | {contact} {name} {surname} {day} | remind me to {contact} {name} {surname}
    | weather in {city} {day} | trains from {city} to {city} | find the {nearest} {shop} in {city}
    | play {music} in the {room} | play {music} at {hour} {minute}
    | {nearest} {shop} open {day}
    | buy {item} and {item} {day} | buy {item} {item} and {item} | order {number} {item} {day}
state: on | off | up | down
change: start | stop | pause | check | mute | reset | find | dim
close: close | open | lock | unlock
number: {digit} | {tens} | {tens} {digit}
digit: one | two | three | four | five | six | seven | eight | nine
times: times | plus | minus
contact: call | text | email | invite
nearest: nearest | next | cheapest | closest
""",
    # Read prose, as in a novel of the nineteenth century.
    "prose": """
sentence: {time} {person} {went} {road} {place} | {person} {looked} {at_thing} and {said} nothing
    | the {quality} {person_noun} {stood} beside the {thing} {while}
    | {person} had never {seen} such a {quality} {thing}
    | there was a {quality} {thing} {where} and a {quality} {thing} {where}
    | {while} {person} {looked} {at_thing} | {person} {felt} that the {thing} would {fate}
    | it was {time_of} and the {quality} {thing} {lay} {where} | {person} {went} {road} {place} {while}
    | neither {person} nor {person} could {remember} the {quality} {thing}
    | {said_clause} that {person} had {gone} {where}
time: early in the morning | that evening | after the storm | before the winter | on the third night | at last
    | some years later | when the bells had ceased | towards midnight
time_of: late | nearly dark | a cold autumn | the end of summer | past noon
person: the {person_noun} | his {relative} | her {relative} | the {quality} {person_noun} | he | she
person_noun: captain | widow | stranger | doctor | shepherd | merchant | soldier | governess | fisherman | prince
    | orphan | painter | farmer | servant | miller | scholar | duchess | gardener
relative: father | mother | brother | sister | cousin | uncle | companion | grandfather | daughter
went: walked | wandered | hurried | rode | returned | travelled | climbed | crept
road: slowly to | along the path to | across the meadow to | through the rain to | in silence to | down the hill to
    | without a word to
place: the village | the harbour | the old mill | the castle | the churchyard | the river bank | the edge of the forest
    | the empty house | the lighthouse | the market square | the distant shore
looked: looked | gazed | stared | glanced | smiled
at_thing: at the {thing} | at the {quality} {thing} | upon the {thing} | towards the {thing}
said: spoke of | understood | heard | answered | wished for | remembered
said_clause: it was whispered | nobody believed | the letter declared | everyone supposed | the {person_noun} insisted
quality: pale | weary | gentle | proud | lonely | splendid | strange | solemn | quiet | golden | broken | hollow
    | faded | gloomy | curious | wretched | noble
thing: lantern | garden wall | letter | portrait | carriage | bridge | candle | mountain | ship | clock | mirror | fire
    | oak tree | sword | staircase | chapel | moon | field of barley | silver cup | leather book
stood: stood | waited | knelt | slept | wept | trembled | lingered
while: while the wind blew from the sea | as the sun was setting | until the others had departed | as though in a dream
    | while snow fell upon the roof | as if nothing had happened | until the lamps were lit | with a heavy heart
seen: seen | beheld | imagined | desired | dreaded
where: above the valley | beneath the window | behind the curtain | beyond the hills | in the shadow of the tower
    | among the ruins | near the fountain | at the bottom of the lake | by the hearth | in the corner of the hall
felt: felt | knew | feared | hoped | believed | confessed
fate: vanish | return one day | bring them sorrow | outlive them all | be forgotten | never be found | fall to pieces
lay: lay | shone | rose | stood | gleamed | disappeared
remember: remember | forget | describe | forgive | abandon | explain
gone: perished | hidden | dwelt | fought | laboured | sung
""",
    # Messages spoken to a phone.
    "dictation": """
sentence: {greeting} {name} {news} {closing} | {greeting} {name} {question} | {news} {closing} | {news} and {plan}
    | {apology} {news} | {question} {closing} | {plan} {when} {closing} | {thanks} {plan}
greeting: hi | hey | hello | dear | good morning | evening
name: sam | emma | ben | mum | dad | chris | kate | alex | everyone | doctor lee | laura | tom | priya | ravi
news: i'm running {minutes} minutes late | the {meeting} moved to {when} | i've sent you the {document}
    | i just finished the {document} | my {transport} is delayed again | i can't make the {meeting} {when}
    | the {document} still needs your comments | i left my {object} at your {spot} | the kids are at their {spot}
    | we've booked the {spot} for {when} | i'm stuck in traffic near the {spot} | i picked up your {object}
    | the {device} in the {room} is broken | we're out of {item} and {item} | i'll be in {city} until {day}
    | the {opening} in the {room} won't shut | the {music} concert is at {hour} {minute}
    | i'm at the {shop} with doctor {surname}
minutes: five | ten | fifteen | twenty | thirty
meeting: meeting | interview | dinner | rehearsal | dentist appointment | conference call | workshop | birthday party
when: monday morning | tuesday afternoon | friday evening | next week | this weekend | tomorrow | after lunch | tonight
    | early next month | around noon
document: report | invoice | draft | contract | photos | agenda | spreadsheet | presentation | recipe | tickets
transport: train | flight | bus | taxi | car
object: umbrella | charger | jacket | laptop | keys | glasses | wallet | notebook
spot: office | restaurant | gym | school | apartment | cafe | clinic | campsite | theatre | grandparents
question: could you {favour} {when} | did you get the {document} | are you free {when} | can you {favour}
    | what should i bring to the {meeting} | do you still have my {object} | shall we share a {transport} {when}
favour: forward the {document} | pick me up from the {spot} | water the plants | feed the cat | review the {document}
    | collect the parcel | print the {document} | look after the dog | confirm the {meeting}
    | bring some {item} and {item} | fix the {device} in the {room} | meet me at the {shop} in {city}
plan: let's meet at the {spot} | i'll call you back | we'll bring dessert | i'll update the {document}
    | let's postpone the {meeting} | i'll drop off your {object} | i'd love to join you at the {meeting}
    | we could grab coffee at the {spot}
apology: sorry for the short notice | so sorry | apologies for the confusion | just so you know
thanks: thanks so much for the {document} | thanks for your help | congratulations on the {meeting} | no problem
closing: see you soon | let me know | talk later | cheers | take care | best wishes | thank you | lots of love
    | please reply when you can
""",
    # One turn of a call to a service.
    "telephone": """
sentence: {agent} | {caller} | {filler} {agent} | {filler} {caller} | {caller} {tag} | {answer} | {answer} please
agent: how may i help you with your {account} | may i have your {detail} please 
    | one moment while i check the {account} | your {account} {status}
    | i'm transferring you to the {department} department | could you spell your {detail} for me
    | please hold the line for the {department} department | i can offer you a {offer} on your {account}
    | for security what is the {detail} on the {account} | is there anything else about the {account}
    | you should receive the {offer} within {number} working days
    | an engineer will call you {day} at {hour} {minute} | the branch in {city} is near the {shop}
    | there are {tens} callers ahead of you
caller: i'd like to {action} my {account} | i'm calling about my {account} | my {detail} is {number} {number} {number}
    | i was charged {number} pounds on my {account} | i have waited {number} days for the {offer}
    | nobody from the {department} department called me back | the {account} {status}
    | why was my {account} {action_past} | can i {action} the {account} over the phone
    | i want to speak to the {department} department
    | it's {number} {number} {number} {number} | that's {letter} {letter} as in {spelling}
    | my name is {name} {surname} | the {device} was broken when it came | the {item} went missing from my delivery
    | please send it to {city} by {day} | i have been waiting for {tens} {unit}
answer: {name} {surname} | {number} {unit} | {hour} {minute} {day} | from {city} to {city} | {day} in {city}
    | the {room} {device} | {item} and {item} | {tens} {digit} {unit} | {verb} the {room} {device} | {verb} it {day}
    | the {shop} in {city} | turn it {state} | {state} {hour} {minute} | {verb} the {opening} | {number} {item}
    | play {music}
filler: yes | okay | um | right | well | sure | no | i see | alright then | uh huh | sorry
verb: stop | start | check | find | reset | lock | open | close | text | order | buy
state: on | off | up | down
tag: you know | if possible | again | as i said | to be honest | isn't it | i think
account: account | subscription | insurance policy | mobile contract | credit card | electricity bill | loan | booking
    | broadband connection | delivery | warranty | membership | deposit
detail: customer number | date of birth | postcode | surname | email address | password | reference code | full address
status: has been suspended | is still pending | expired in {month} | will be renewed in {month} | is overdue
    | shows an outstanding balance | was approved in {month} | cannot be found on the system
department: billing | technical | claims | sales | complaints | returns | legal | fraud
offer: refund | discount | replacement | voucher | upgrade | statement | confirmation letter | free trial | new router
action: cancel | renew | transfer | update | dispute | activate | downgrade | extend | verify
action_past: cancelled | blocked | renewed | rejected | downgraded | transferred
month: january | february | march | april | may | june | july | august | september | october | november | december
number: zero | one | two | three | four | five | six | seven | eight | nine | double {digit}
digit: zero | one | two | three | four | five | six | seven | eight | nine
letter: a | b | d | f | g | h | k | l | m | n | p | r | s | t | v
spelling: alpha | bravo | delta | echo | foxtrot | golf | hotel | kilo | lima | november | oscar | papa | romeo | sierra
    | tango | victor | zulu
""",
    # Said at home, from one to another.
    "conversation": """
sentence: the {room} {device} is {state} | {did} {close} the {room} {opening} | {who} {change} the {device}
    | i can't find the {device} | it's {number} {unit} from here | {number} {times} {number} makes {number}
    | dinner is at {hour} {minute} | it's {hour} {minute} already | we leave {day} at {hour} {minute}
    | i'd like to {contact} {name} | {name} {surname} will {contact} you {day} | {who} {contact} {name} {surname}
    | the weather in {city} was awful | the train from {city} is late | i'm flying to {city} {day}
    | is there a {shop} in {city} | the {nearest} {shop} is closed {day} | they play {music} here every {day}
    | i don't like {music} | we need {item} and {item} | no more {item} | {who} order the {item}
    | {number} {item} please
    | don't wake the neighbours | i heard the alarm {day} | set the table in the {room} | add some {item}
    | the timer was on {number} {unit} | remind {name} of the {item} | turn around | how many {item} are left
    | i'll buy {item} {day} | can you reset the {device} | turn the {music} {state}
did: did you | please don't | i forgot to | why not
close: close | open | lock | unlock
who: who will | let me | you should | i won't
change: start | stop | pause | check | mute | reset | find | dim
state: on | off | up | down | fine
number: {digit} | {tens} | {tens} {digit}
digit: one | two | three | four | five | six | seven | eight | nine
times: times | plus | minus
contact: call | text | email | invite
nearest: nearest | next | cheapest | closest
""",
}

Rules = dict[str, list[str]]

# One sentence in twenty belongs to a small split, and some domains are short of short sentences.
TRIES = 100_000

_SLOT = re.compile(r"\{(\w+)\}")


def sentence(domain: Domain, rng: np.random.Generator) -> str:
    """Returns a sentence of `domain` in the characters a to z, apostrophe and space."""
    rules = rules_of(domain)

    def fill(slot: re.Match[str]) -> str:
        alternatives = rules[slot[1]]
        return _SLOT.sub(fill, alternatives[rng.integers(len(alternatives))])

    return _SLOT.sub(fill, "{sentence}")


def split_of(sentence: str) -> Split:
    """Returns the one split that may hold `sentence`: 5 % of all are in dev, 5 % in test, by the sentence's hash."""
    place = int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:4], "big") % 100
    return "dev" if place < 5 else "test" if place < 10 else "train"


def sentence_of_split(domain: Domain, split: Split, rng: np.random.Generator, most_words: int | None = None) -> str:
    """Returns a sentence of `domain` that belongs to `split`, of at most `most_words`.

    Raises ValueError where there is none.
    """
    for _ in range(TRIES):
        candidate = sentence(domain, rng)
        if split_of(candidate) == split and (most_words is None or candidate.count(" ") < most_words):
            return candidate
    raise ValueError(f"most_words is {most_words}; {TRIES} sentences of {domain} had none so short for {split}")


def vocabulary(domain: Domain) -> frozenset[str]:
    """Returns the words that the sentences of `domain` are made of."""
    rules = rules_of(domain)
    reached, left = set(), ["sentence"]
    while left:
        reached.add(rule := left.pop())
        left += [slot for slot in _SLOT.findall(" ".join(rules[rule])) if slot not in reached]
    alternatives = " ".join(alternative for rule in reached for alternative in rules[rule])
    return frozenset(_SLOT.sub(" ", alternatives).split())


@cache
def rules_of(domain: Domain) -> Rules:
    """Returns the grammar of `domain`: alternatives by the name of their rule."""
    lines = [line for text in (SHARED, GRAMMARS[domain]) for line in re.sub(r"\n\s+", " ", text.strip()).splitlines()]
    named = (line.partition(":") for line in lines)
    return {name: [alternative.strip() for alternative in text.split("|")] for name, _, text in named}
