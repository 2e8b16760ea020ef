"""The known ways in which gateways get the cost of a call wrong, and where each was reported.

``docs/accuracy.md`` is written from this register and from the tests that bear the ids.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Known(NamedTuple):
    """One known defect."""

    reported: str
    """Public threads, as ``L#n`` (BerriAI/litellm), ``B#n`` (maximhq/bifrost), ``LW#n``
    (langwatch/langwatch), ``O#n`` (mozilla-ai/otari), ``AG#n`` (agentgateway/agentgateway), or
    with the repository's name."""
    defect: str


GROUPS: Final = {
    "A": "Streams and clients that leave",
    "B": "Token kinds and the arithmetic of prices",
    "C": "Retries, fallbacks, identity of models and calls",
    "D": "Batches and other answers that come later",
    "E": "Every endpoint that costs money",
    "F": "Whose call it is",
    "G": "Budgets",
    "H": "Durability and sums",
    "I": "History of prices",
}
REPOSITORIES: Final = {
    "L": "BerriAI/litellm",
    "B": "maximhq/bifrost",
    "LW": "langwatch/langwatch",
    "O": "mozilla-ai/otari",
    "AG": "agentgateway/agentgateway",
}
REGISTER: Final = {
    "A1": Known("L#33736", "A client that aborts its stream leaves no record and pays nothing"),
    "A2": Known("L#36008, L#37558, L#35958", "The stop button ends the reading before the"
                " provider's final count comes"),
    "A3": Known("L#37992", "A count of zero is taken for a missing one and billed by estimate"),
    "A4": Known("L#37734", "A stream that was cut has tokens but costs nothing: no price for the"
                " name, cache counts gone"),
    "A5": Known("L#13245", "A client leaves before a plain answer; only the input is booked"),
    "A6": Known("L#36429", "Many dropped long streams stall the whole gateway while it counts"
                " tokens"),
    "A7": Known("L#6633", "Streams with equal or empty provider ids overwrite each other"),
    "A8": Known("B#3709, B#4575, B#3357", "A fault after the usage has come loses the usage"),
    "A9": Known("O#256", "The same usage counts differently by endpoint, stream or provider"),
    "A10": Known("L#36943", "An estimate replaces the usage that the provider did report"),
    "A11": Known("L#39088", "Cached tokens of a stream lose their detail and cost the full rate"),
    "A12": Known("L#38674", "A WebSocket session has no usage, or loses cached and reasoning"),
    "A13": Known("ferro-labs/ai-gateway#281, xiaoyu-work/claw-os#14", "Streams have no usage since"
                 " nobody asks the provider for it"),
    "A14": Known("mozilla-ai/otari docs/configuration.md", "A client that closes at [DONE] leaves"
                 " the call uncommitted"),
    "B1": Known("L#6215", "Cached tokens are charged twice: at the full and at the cached rate"),
    "B2": Known("L#14849", "Gemini's cached tokens are added to the prompt that holds them"),
    "B3": Known("L#14874, L#19772", "Text tokens that include the cached ones are added to them"),
    "B4": Known("L#11789", "Cache reads count differently in streams and in plain answers"),
    "B5": Known("L#40006, L#40016", "With own prices, Anthropic's cache reads are charged twice"),
    "B6": Known("B#904", "Cached input is billed as fresh input"),
    "B7": Known("B#3451", "Cache writes of a stream are billed as input as well"),
    "B8": Known("B#1872, L#16000", "Without a cache rate, cached tokens are free"),
    "B9": Known("earendil-works/pi#5603, O#357, Helicone/helicone#4658", "Cache writes of an hour"
                " are billed as those of five minutes, or twice"),
    "B10": Known("AG#3228", "Reasoning replaces the output instead of standing beside it"),
    "B11": Known("decolua/9router#2762", "Reasoning within the output is billed again"),
    "B12": Known("jain-aanchal/ai-tally#376, braintrustdata/braintrust-proxy#920,"
                 " langfuse/langfuse#16321", "Gemini's thinking is not billed"),
    "B13": Known("headroom#2757", "A negative component makes the whole cost vanish"),
    "B14": Known("claude-code-hub#869, comet-ml/opik#6982, opencodex#952", "Long-context steps are"
                 " billed on the margin, or not at all"),
    "B15": Known("claude-code-hub#1117, defog#304", "The tier that was asked for is billed, not"
                 " the one that served"),
    "B16": Known("L#38457, LW#7048", "Audio, and cached audio, are billed as text or as fresh"),
    "B17": Known("lean-ctx#746, forgecode#1641, L#38538", "A cost that the provider reports is"
                 " doubled, or zero where the customer's own key was used"),
    "B18": Known("L#39960, L#14749, L#21816, L#39057", "An answer from the gateway's cache is"
                 " billed like a call"),
    "B19": Known("tokentelemetry#307", "Prices by time of day are not known"),
    "B20": Known("L#25204", "An own price of zero is taken for no price"),
    "B21": Known("L#15063, L#21023", "An own price for one kind silently mixes with list prices"),
    "B22": Known("B#3559", "A price per million entered as a price per token is believed"),
    "C1": Known("L#39294", "Passes of several models in one answer are all billed at one price"),
    "C2": Known("L#8810, L#25503, L#10221", "After a fallback the price is that of the model that"
                " was asked for"),
    "C3": Known("L#39455, tya5/reyn#3047", "One operation with retries is several, or the retries"
                " are not seen"),
    "C4": Known("L#15740", "A translated endpoint books its call twice"),
    "C5": Known("L#17814", "Fetching a stored answer bills it again"),
    "C6": Known("L#15354, Helicone/helicone#4130", "The same name at two providers has one price"),
    "C7": Known("L#42679, L#30768, L#42469, L#39846", "Regional prices of Bedrock are ignored"),
    "C8": Known("L#38730", "A retired name that leads to another model keeps its old price"),
    "C9": Known("L#39511", "The id that the client got does not lead to its record"),
    "D1": Known("L#12084, L#39980", "Each look at a finished batch bills it again"),
    "D2": Known("L#35358, L#35468", "A batch without an owner is silently dropped"),
    "D3": Known("L#35363", "Lines of another shape count no tokens"),
    "D4": Known("L#36640", "One line without a price holds up all others"),
    "D5": Known("L#10011, L#19925", "A restart between the end of a batch and its fetching loses"
                " it"),
    "D6": Known("langwatch/langwatch#6395", "A confirmation that never comes leaves a call open for"
                " ever, or at zero"),
    "E1": Known("L#36646, L#10238", "A passed-through endpoint leaves no record"),
    "E2": Known("L#33210, L#35194, L#13797, L#36185, L#7258", "Reranking costs nothing"),
    "E3": Known("L#10013, L#10221", "Images cost nothing"),
    "E4": Known("B#2873", "A passed-through endpoint is not held to the budget"),
    "E5": Known("L#30725", "Some calls of a busy Bedrock endpoint cost nothing"),
    "F1": Known("L#7237, L#27480, L#41218", "Tags count in one carrier and not in another"),
    "F2": Known("L#13860, L#17633", "The end user is lost on some endpoints"),
    "F3": Known("BerriAI/litellm-docs#1106", "Session documents in a user field become customers"),
    "F4": Known("L#36861", "A caller can name another owner than its key's"),
    "F5": Known("L#36173", "A failed call does not say which provider and model failed"),
    "G1": Known("L#34732", "Concurrent calls pass a budget that has room for a few"),
    "G2": Known("L#35524, L#27509", "A call whose price is unknown reserves nothing"),
    "G3": Known("L#33923", "A reservation that cannot be written does not refuse"),
    "G4": Known("L#36926, L#35569, L#40572", "Spend counted twice refuses calls that have room"),
    "G5": Known("L#38647", "Worst-case holds of many calls clamp a budget for good"),
    "G6": Known("L#27394, L#11962", "Some keys escape the budget of their user"),
    "G7": Known("L#25495, L#20532, L#27481", "Budgets of some kinds never begin a new window"),
    "G8": Known("L#22013, L#34492, L#24675", "A reset wipes real spend, or carries it over"),
    "G9": Known("B#3547", "Each replica has the whole budget"),
    "G10": Known("L#30684", "A counter store that lost its data lets calls overspend"),
    "G11": Known("L#31842", "A budget is stored and not enforced"),
    "G12": Known("B#5673", "A budget under an unknown name is ignored"),
    "G13": Known("B#5770", "A threshold alert fires at the wrong spend"),
    "G14": Known("LW#6141", "A budget waits for reports that lag"),
    "G15": Known("agentgateway/website#962", "A call without usage does not count"),
    "H1": Known("L#35531", "A failed commit loses the batch in memory"),
    "H2": Known("L#34820", "A stop in the middle of writing loses records"),
    "H3": Known("L#27704", "Calls before the database is up are lost"),
    "H4": Known("L#38193", "While the database is down memory grows without bound, or calls drop"),
    "H5": Known("langwatch/tasks#494, L#34675", "A repeated insert inflates a roll-up for ever"),
    "H6": Known("L#37144, L#13280, L#2814, L#8897", "Several counters of the same spend differ"),
    "H7": Known("LW#8080", "A check of nothing against nothing passes"),
    "H8": Known("LW#3524", "Small costs are shown as zero"),
    "I1": Known("ccusage#1636", "A closed week costs something else when prices change"),
    "I2": Known("mozilla-ai/any-llm#995, agentsview#1540, CPA-Manager-Plus#848", "A price edit"
                " rewrites the past"),
    "I3": Known("L#31835, B#836", "There is no audited way to apply a corrected price"),
    "I4": Known("hermes-agent#108781", "Different prices bear the same version"),
}  # fmt: skip
