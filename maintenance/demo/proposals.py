"""The rows of the proposal management application, from a seed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import Any

Row = tuple[Any, ...]

_TOWNS = ("Aachen", "Bergen", "Cork", "Delft", "Evora", "Faro", "Ghent", "Haifa", "Izmir", "Jena")
_OPEN = ("DRAFT", "IN_REVIEW", "PENDING_APPROVAL", "SUBMITTED")
_CLOSED = ("APPROVED", "ACCEPTED", "ACCEPTED", "REJECTED", "DECLINED")
_APPROVED = ("APPROVED", "ACCEPTED", "DECLINED")
_SECTIONS = ("Summary", "Scope", "Price", "Terms")
_CONTENT_TYPES = ("TEXT", "TEMPLATE", "IMAGE", "DOCUMENT", "MEDIA")
_CATEGORIES = ("legal", "pricing", "company", "security", "references")
_SEVERITIES = ("INFO", "WARNING", "WARNING", "ERROR", "CRITICAL")
_HYPOTHESES = ("H1", "H3", "H4", "H6", "H7", "H8")
_ACTIONS = ["view"] * 50 + ["update"] * 28 + ["create"] * 10 + ["approve"] * 5 + ["delete"] * 2
_ENTITIES = ["proposals"] * 6 + ["content"] * 2 + ["customers", "products"]
_N_USERS = 120
_N_PRODUCTS = 60
_N_CONTENT = 400
_OPEN_DAYS = 21


@dataclass(frozen=True)
class Proposals:
    """The facts that the tables have in common.

    Attributes:
        seed: seed of all random numbers.
        created: when each proposal was created, ascending.
        now: the current time; proposals of the last three weeks are still open.
    """

    seed: int
    created: tuple[datetime, ...]
    now: datetime

    def _chance(self, of: str) -> Random:
        return Random(f"{self.seed} {of}")

    @property
    def n_customers(self) -> int:
        """The number of customers: one for about eight proposals."""
        return len(self.created) // 8 + 1

    def customers(self) -> Iterator[Row]:
        """Rows of customers: id, name."""
        for n in range(self.n_customers):
            yield _customer(n), f"{_TOWNS[n % len(_TOWNS)]} Works {n}"

    def products(self) -> Iterator[Row]:
        """Rows of products: id, name, price."""
        chance = self._chance("products")
        for n in range(_N_PRODUCTS):
            yield f"prd_{n:04}", f"Module {n}", Decimal(chance.randrange(50, 5000))

    @cached_property
    def _statuses(self) -> list[str]:
        chance = self._chance("statuses")
        recent = self.now - timedelta(days=_OPEN_DAYS)
        return [chance.choice(_CLOSED if at < recent else _OPEN) for at in self.created]

    def proposals(self) -> Iterator[Row]:
        """Rows of proposals: id, title, customer_id, status, value, created_at, approved_at."""
        chance = self._chance("proposals")
        for n, (at, status) in enumerate(zip(self.created, self._statuses, strict=True)):
            customer = int(chance.random() ** 2 * self.n_customers)
            value = None if n % 17 == 0 else Decimal(int(chance.lognormvariate(9.5, 1) * 100)) / 100
            days = timedelta(days=min(chance.expovariate(0.2), _OPEN_DAYS - 1))
            approved_at = at + days if status in _APPROVED else None
            yield _proposal(n), f"Offer {n}", _customer(customer), status, value, at, approved_at

    def proposal_sections(self) -> Iterator[Row]:
        """Rows of proposal_sections: id, proposal_id, title, position."""
        for n in range(len(self.created)):
            for position, title in enumerate(_SECTIONS[: 2 + n % 3], start=1):
                yield f"sec_{n:06}_{position}", _proposal(n), title, position

    def proposal_products(self) -> Iterator[Row]:
        """Rows of proposal_products: id, proposal_id, product_id, quantity."""
        chance = self._chance("proposal_products")
        for n in range(len(self.created)):
            for product in sorted({chance.randrange(_N_PRODUCTS) for _ in range(1 + n % 4)}):
                quantity = 1 + int(chance.expovariate(0.3))
                yield f"ppr_{n:06}_{product:04}", _proposal(n), f"prd_{product:04}", quantity

    def content(self) -> Iterator[Row]:
        """Rows of content: id, title, type, is_active, category, created_at."""
        chance = self._chance("content")
        for n in range(_N_CONTENT):
            at = self.now - timedelta(days=chance.uniform(0, 900))
            kind, category = chance.choice(_CONTENT_TYPES), chance.choice(_CATEGORIES)
            yield f"cnt_{n:05}", f"Text {n}", kind, n % 7 != 0, category, at

    def approval_executions(self) -> Iterator[Row]:
        """Rows of approval_executions: id, workflow_id, proposal_id, status, started_at."""
        chance = self._chance("approval_executions")
        for n, (at, status) in enumerate(zip(self.created, self._statuses, strict=True)):
            if status == "DRAFT":
                continue
            outcome = "PENDING" if status in _OPEN else "COMPLETED"
            if status == "REJECTED":
                outcome = chance.choice(("REJECTED", "ESCALATED"))
            started_at = at + (self.now - at) * chance.random() * 0.1
            yield f"apx_{n:06}", f"wfl_{n % 5}", _proposal(n), outcome, started_at

    def validation_issues(self) -> Iterator[Row]:
        """Rows: id, proposal_id, entity_type, severity, status, detected_at."""
        chance = self._chance("validation_issues")
        for n, at in enumerate(self.created):
            if n % 3:
                continue
            entity = chance.choice(("PROPOSAL", "PRODUCT", "CUSTOMER"))
            status = chance.choice(("OPEN", "RESOLVED", "RESOLVED", "IGNORED", "FALSE_POSITIVE"))
            detected_at = at + (self.now - at) * chance.random() * 0.1
            severity = chance.choice(_SEVERITIES)
            yield f"iss_{n:06}", _proposal(n), entity, severity, status, detected_at

    def hypothesis_validation_events(self, moments: Iterable[datetime]) -> Iterator[Row]:
        """Rows of hypothesis_validation_events.

        id, user_id, hypothesis, target_value, actual_value, performance_improvement, timestamp.
        """
        chance = self._chance("hypothesis_validation_events")
        for n, at in enumerate(moments):
            target, actual = 100.0, round(chance.gauss(110, 25), 2)
            measured = n % 9 != 0
            improvement = round(actual - target, 2) if measured else None
            user, hypothesis = _user(chance.randrange(_N_USERS)), chance.choice(_HYPOTHESES)
            shown = actual if measured else None
            yield f"hyp_{n:08}", user, hypothesis, target, shown, improvement, at

    def performance_baselines(self) -> Iterator[Row]:
        """Rows: id, hypothesis, metric_name, baseline_value, collection_date; one a week."""
        chance = self._chance("performance_baselines")
        for week in range(26):
            at = self.now - timedelta(weeks=week)
            for hypothesis in _HYPOTHESES:
                for metric in ("time_to_offer", "error_rate"):
                    name = f"bsl_{hypothesis}_{metric}_{week:02}"
                    yield name, hypothesis, metric, round(chance.gauss(100, 10), 2), at

    def audit_logs(self, moments: Iterable[datetime]) -> Iterator[Row]:
        """Rows of audit_logs: id, user_id, action, entity, entity_id, timestamp."""
        chance = self._chance("audit_logs")
        known = {"customers": self.n_customers, "products": _N_PRODUCTS, "content": _N_CONTENT}
        prefix = {"customers": "cus_{:05}", "products": "prd_{:04}", "content": "cnt_{:05}"}
        exists = 0
        for number, at in enumerate(moments):
            while exists < len(self.created) and self.created[exists] <= at:
                exists += 1
            entity, action = chance.choice(_ENTITIES), chance.choice(_ACTIONS)
            pattern = prefix.get(entity, "prp_{:06}")
            entity_id = pattern.format(chance.randrange(known.get(entity, exists) or 1))
            user = _user(chance.randrange(_N_USERS))
            yield f"aud_{number:010}", user, action, entity, entity_id, at


def _customer(n: int) -> str:
    return f"cus_{n:05}"


def _proposal(n: int) -> str:
    return f"prp_{n:06}"


def _user(n: int) -> str:
    return f"usr_{n:04}"
