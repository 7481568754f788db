"""Everything that a training run can be told, and what it does when told nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.errors import UserError
from stream_app.users.features import FEATURES


class TrainingError(UserError):
    """Training cannot be done as asked; the message says why and what to do."""


@dataclass(frozen=True)
class ModelConfig:
    """Kind and sizes of the encoder."""

    kind: str = "recurrent"
    """`recurrent`: a gated linear recurrence, `gru`: gated recurrent units; both keep a state of
    `blocks * width` floats per user. `transformer`: reads the last `context` events again.
    `auto`: the better of `recurrent` and `transformer` on the validation events."""
    dim: int = 64
    """Size of item and user vectors."""
    width: int = 128
    """Channels of a recurrence; a transformer has none."""
    blocks: int = 2
    """Layers of the encoder."""
    heads: int = 2
    """Attention heads of a transformer."""
    context: int = 50
    """Events that a transformer reads, at most the 100 that a user's row holds."""
    expansion: int = 2
    """Width of the feed-forward layer over `dim`."""
    dropout: float = 0.2
    """Share of activations dropped in training."""
    actions: bool = True
    """Whether the action of an event (click, purchase, ...) is an input."""
    action_gain: bool = False
    """Whether the weight of an event's item, in state and attention, is learned per action."""
    gaps: str = "scaled"
    """How the time since the previous event is an input: `scaled` logarithm, a vector per
    logarithmic bucket (`buckets`), `both` or `none`."""
    features: int = FEATURES
    """Width of an event's row of features, made by `stream_app.users.features`."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train an encoder of the sizes in `model`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """What is trained."""
    epochs: int = 40
    """At most; the learning rate falls towards the end of them."""
    patience: int = 5
    """Epochs without a better validation figure after which training stops."""
    learning_rate: float = 2e-3
    """Highest learning rate of AdamW."""
    weight_decay: float = 0.01
    """Decoupled weight decay of AdamW."""
    warmup: int = 100
    """Steps over which the learning rate rises to its highest, at most those of one epoch."""
    schedule: str = "linear"
    """`linear`: the rate falls over the last 30 % of the epochs; `cosine`: from the start;
    `constant`: not at all."""
    ema_decay: float = 0.998
    """Decay per step of the moving average of the weights, which is what is kept; 0: no average."""
    temperature: float = 0.1
    """Cosine logits are divided by it."""
    window: int = 200
    """Longest piece of a history, in events."""
    batch_tokens: int = 4096
    """Events per optimiser step."""
    reach: int = 1
    """Targets are drawn from so many next events, nearer ones more often."""
    negatives: int = 0
    """Sampled softmax with so many negatives; 0: full softmax up to 20,000 items, then 1,024."""
    item_dropout: float = 0.1
    """Share of input items hidden in training, so that the encoder can live with unknown items."""
    action_weights: str = ""
    """How much a target counts by its action, as in `purchase=4 add_to_cart=2`; 1 where none is
    given."""
    action_loss: float = 0.0
    """Weight of a second task, telling which action the next event is; 0: without it."""
    min_count: int = 3
    """Items seen less often get no vector of their own: there is nothing to learn it from."""
    delta_max: float = 0.5
    """With texts: how far an item's vector may be from what its text says, as a length beside 1."""
    id_dropout: float = 0.15
    """With texts: share of items that stand on their text alone in a batch."""
    text_rank: int = 256
    """With texts: principal components of the text vectors that are kept, at most."""
    unseen_items: bool = False
    """With texts: items that no event is on are part of the release as well."""
    ranker: str = "none"
    """What puts candidates in order: `none`, a weighted sum of three scores; `linear`, one of all
    features; `moe`, a small mixture of experts."""
    seed: int = 0
    """Of everything random: the same seed and data give the same model on the same machine."""
