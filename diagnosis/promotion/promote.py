"""The gate of promotion: the site's rules, the exception that takes two people, and the way back in one step."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.models import (
    Evaluation,
    EvaluationFilm,
    ModelVersion,
    PromotionRequest,
    PromotionRules,
    StageChange,
)
from diagnosis.promotion import shadow
from diagnosis.registry import operating_point, versions
from diagnosis.registry.versions import PromotionRefused
from pneumoweb.accounts.models import User

REQUESTS_LAST = timedelta(days=7)
State = PromotionRequest.State
NOT_COMPARED = "Not compared: see the first rule."


@dataclass(frozen=True)
class Check:
    """One rule, whether the version passes, and the figures that say so."""

    rule: str
    passed: bool
    figures: str


def current_evaluation(version: ModelVersion) -> Evaluation | None:
    """Return the newest finished evaluation against the version now in production, at the threshold now in force."""
    production = versions.production()
    if production is None or production == version:
        return None
    threshold = operating_point.threshold_of(production) or production.card["threshold"]
    return version.evaluations.filter(
        production=production, state=Evaluation.State.SUCCEEDED, production_threshold=threshold
    ).first()


def check(version: ModelVersion) -> list[Check]:
    """Hold the version against the site's rules. A rule without figures fails: nothing is taken on trust."""
    rules = PromotionRules.in_force()
    evaluation = current_evaluation(version)
    parts = evaluation.figures["parts"] if evaluation else {}
    counting = {
        name: p for name, p in parts.items() if "candidate" in p and _patients(p) >= rules.patients_each
    }
    return [
        _compared(evaluation),
        _enough(parts, counting, rules),
        _not_worse("sensitivity", rules.sensitivity_loss, counting, rules),
        _not_worse("specificity", rules.specificity_loss, counting, rules),
        _gate(parts, rules),
        _export(version),
        _receipts(evaluation, rules),
    ]


def set_rules(by: User, **fields: Any) -> PromotionRules:
    """Put new rules in force; the ones before stay in the history."""
    return PromotionRules.objects.create(by=by, **fields)


def promote(version: ModelVersion, by: User, reason: str) -> ModelVersion | PromotionRequest:
    """Put the version into production if every rule is met; else ask for a second person.

    Raises PromotionRefused where no reason is given, or the version cannot go into production at all.
    """
    if not reason.strip():
        raise PromotionRefused("Say why this version goes into production.")
    if version.stage == ModelVersion.Stage.PRODUCTION:
        raise PromotionRefused(f"{version} is in production already.")
    versions.whole(version)
    if all(c.passed for c in check(version)):
        return put_into_production(version, by, reason)
    return ask(version, by, reason)


def put_into_production(
    version: ModelVersion, by: User | None, reason: str, roll_back: bool = False
) -> ModelVersion:
    """Promote, and end what a promotion ends: the version's shadow, and every open request.

    The caller has looked at the artifact (`registry.whole`), outside any transaction.
    """
    with transaction.atomic():
        promoted = versions.switch(version, by, reason, roll_back)
        shadow.end(version, by, "It went into production.")
        PromotionRequest.objects.filter(state=State.REQUESTED).update(state=State.EXPIRED)
    return promoted


def ask(version: ModelVersion, by: User, reason: str) -> PromotionRequest:
    """Ask a second person for a promotion against the rules. Raises PromotionRefused where one is asked already."""
    expire()
    try:
        with transaction.atomic():
            return PromotionRequest.objects.create(
                version=version, production=versions.production(), evaluation=current_evaluation(version),
                checks=[asdict(c) for c in check(version)], requested_by=by, reason=reason.strip()[:400],
            )  # fmt: skip
    except IntegrityError as error:
        raise PromotionRefused(f"A promotion of {version} waits for a second person already.") from error


def approve(request: PromotionRequest, by: User, remark: str) -> ModelVersion:
    """Promote against the rules, as a second person or as the only one there is.

    Raises PromotionRefused where the request is no longer open, things have changed since, or `by` may not.
    """
    alone = by == request.requested_by
    if alone and not may_act_alone(by):
        raise PromotionRefused("A second member of staff must approve this; you asked for it yourself.")
    if not remark.strip():
        raise PromotionRefused("Say why you approve a promotion that the rules forbid.")
    expire()
    if request.production != versions.production():
        raise PromotionRefused("Another version is in production since this was asked for. Ask again.")
    versions.whole(request.version)
    with transaction.atomic():
        if not _decide(request, State.APPROVED, by, remark, alone):
            raise PromotionRefused("This request is no longer open.")
        who = "alone, as the only member of staff" if alone else f"approved by {by}"
        return put_into_production(
            request.version,
            request.requested_by,
            f"{request.reason} (against the rules, {who}: {remark.strip()})",
        )


def refuse(request: PromotionRequest, by: User, remark: str) -> None:
    """Decline a request, or take back one's own. Raises PromotionRefused where it is no longer open."""
    if not _decide(request, State.REFUSED, by, remark, alone=False):
        raise PromotionRefused("This request is no longer open.")


def expire() -> int:
    """Close requests that nobody decided in a week."""
    old = timezone.now() - REQUESTS_LAST
    return PromotionRequest.objects.filter(state=State.REQUESTED, requested_at__lt=old).update(
        state=State.EXPIRED
    )


def may_act_alone(user: User) -> bool:
    """Return whether the user is an administrator on a site with no other member of staff who could agree."""
    others = User.objects.filter(is_active=True).exclude(pk=user.pk)
    return (
        user.is_superuser and not (others.filter(is_staff=True) | others.filter(is_superuser=True)).exists()
    )


def before() -> ModelVersion | None:
    """Return the version that a roll back brings back: the one in production before the present one.

    Rolling back twice goes back two versions, not forth again to the one that was just left.
    """
    trail: list[int] = []
    promotions = StageChange.objects.filter(stage=ModelVersion.Stage.PRODUCTION).order_by("pk")
    for version, went_back in promotions.values_list("version_id", "roll_back"):
        if went_back:
            trail.pop()
        else:
            trail.append(version)
    return ModelVersion.objects.get(pk=trail[-2]) if len(trail) > 1 else None


def roll_back(by: User, reason: str) -> ModelVersion:
    """Bring back the version before, with the operating point it had. No rules: safety comes first.

    Raises PromotionRefused without a reason, or where there is nothing to go back to.
    """
    if not reason.strip():
        raise PromotionRefused("Say why you roll back.")
    previous, current = before(), versions.production()
    if previous is None or current is None:
        raise PromotionRefused("No version was in production before this one.")
    versions.whole(previous)
    with transaction.atomic():
        why = f"Rolled back from {current}: {reason.strip()}"
        restored = put_into_production(previous, by, why, roll_back=True)
        operating_point.restore(restored, by)
    return restored


def _decide(request: PromotionRequest, state: str, by: User, remark: str, alone: bool) -> bool:
    still_open = PromotionRequest.objects.filter(pk=request.pk, state=State.REQUESTED)
    return bool(
        still_open.update(
            state=state, decided_by=by, decided_at=timezone.now(), remark=remark.strip()[:400], alone=alone
        )
    )


def _patients(part: dict[str, Any]) -> int:
    return int(min(part["patients_ill"], part["patients_well"]))


def _named(parts: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in parts.items():
        yield str(EvaluationFilm.Part(name).label), part


def _compared(evaluation: Evaluation | None) -> Check:
    figures = "It was not. Start an evaluation: it takes a minute or so."
    if evaluation and evaluation.finished_at:
        figures = f"Evaluation {evaluation.pk}, against {evaluation.production}."
    return Check("Compared with the version now in production", evaluation is not None, figures)


def _enough(parts: dict[str, Any], counting: dict[str, Any], rules: PromotionRules) -> Check:
    rule = (
        f"At least {rules.patients_each} holdout patients with pneumonia, and {rules.patients_each} without"
    )
    found = [f"{name}: {p['patients_ill']} with, {p['patients_well']} without" for name, p in _named(parts)]
    return Check(rule, bool(counting), "; ".join(found) or NOT_COMPARED)


def _not_worse(figure: str, loss: float, counting: dict[str, Any], rules: PromotionRules) -> Check:
    how = "lower 95 % limit of the difference" if rules.by_lower_limit else "difference itself"
    rule = f"{figure.capitalize()} not more than {loss:g} points lower ({how})"
    said, passed = [], bool(counting)
    for name, part in _named(counting):
        apart = part["difference"][figure]
        judged = apart["ci"][0] if rules.by_lower_limit else apart["value"]
        passed = passed and judged * 100 >= -loss - 1e-9
        low, high = apart["ci"]
        said.append(
            f"{name}: {part['production'][figure] * 100:.1f} % to {part['candidate'][figure] * 100:.1f} %, "
            f"{_points(apart['value'])} points (95 % CI {_points(low)} to {_points(high)})"
        )
    return Check(rule, passed, "; ".join(said) or "No part of the holdout has enough patients to say.")


def _gate(parts: dict[str, Any], rules: PromotionRules) -> Check:
    rule = f"Refuses at most {rules.refused_more:g} points more of the holdout films"
    said, passed = [], any(part["readable"] for part in parts.values())
    for name, part in _named(parts):
        if part["readable"]:
            mine, theirs = (
                100 * part[f"{side}_refused"] / part["readable"] for side in ("candidate", "production")
            )
            passed = passed and mine - theirs <= rules.refused_more + 1e-9
            said.append(f"{name}: {theirs:.1f} % to {mine:.1f} % of {part['readable']} films")
    return Check(rule, passed, "; ".join(said) or NOT_COMPARED)


def _export(version: ModelVersion) -> Check:
    """The artifact's own measurement: the exported network agrees with Keras, or Keras serves."""
    found = version.card.get("agreement", {}).get("litert")
    rule = "The exported network answers as the trained one does"
    if not found:
        return Check(rule, False, "The card holds no measurement.")
    serves_keras = version.card.get("runtime") == "keras"
    return Check(rule, bool(found["agrees"]) or serves_keras, str(found["sentence"]))


def _receipts(evaluation: Evaluation | None, rules: PromotionRules) -> Check:
    rule = f"Answers come out the same when run again ({rules.receipts} of them)"
    if evaluation is None:
        return Check(rule, False, NOT_COMPARED)
    found = evaluation.figures["receipts"]
    same = found["same"] == found["run"] and found["run"] > 0
    # A holdout smaller than that can only be run again whole.
    answered = evaluation.films.filter(candidate_probability__isnull=False).count()
    enough = found["run"] >= min(rules.receipts, answered)
    figures = f"{found['same']} of {found['run']} the same; largest difference {found['largest']:.1g}."
    return Check(rule, same and enough, figures)


def _points(share: float) -> str:
    return f"{share * 100:+.1f}".replace("-", "−")
