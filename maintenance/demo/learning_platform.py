"""The rows of the learning platform, from a seed."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from random import Random
from typing import Any

Row = tuple[Any, ...]

_MODULES = 4
_LESSONS = 3
_SUBJECTS = ("Python", "SQL", "Statistics", "Design", "Accounting", "Leadership", "Spanish", "AI")
_LEVELS = ("BEGINNER", "INTERMEDIATE", "ADVANCED")
_FIRST_NAMES = ("Ada", "Bela", "Chloe", "Dan", "Elif", "Femi", "Grace", "Hugo", "Iris", "Jun")
_LAST_NAMES = ("Ito", "Jensen", "Kaya", "Lopez", "Meyer", "Novak", "Okafor", "Patel", "Rossi")
_KINDS = (
    ["course_viewed"] * 34
    + ["lesson_started"] * 24
    + ["lesson_completed"] * 18
    + ["module_completed"] * 8
    + ["quiz_submitted"] * 9
    + ["search_performed"] * 5
    + ["course_completed"] * 2
)
_DEVICES = ("web", "web", "web", "ios", "android")


@dataclass(frozen=True)
class LearningPlatform:
    """The facts that the tables have in common.

    The last course has no enrollments and no description, every tenth user is inactive and some
    are not enrolled: special cases for queries.
    """

    seed: int
    n_users: int
    n_courses: int

    def _chance(self, of: str) -> Random:
        return Random(f"{self.seed} {of}")

    @property
    def n_organizations(self) -> int:
        """The number of organizations: one for about 150 users."""
        return self.n_users // 150 + 1

    @cached_property
    def courses_of_users(self) -> list[list[int]]:
        """The courses of each user; popular ones more often."""
        chance = self._chance("courses of users")
        popular = max(self.n_courses - 1, 1)
        return [
            sorted({int(chance.random() ** 2 * popular) for _ in range(chance.randrange(7))})
            for _ in range(self.n_users)
        ]

    def organizations(self) -> Iterator[Row]:
        """Rows of organizations: id, name."""
        for n in range(self.n_organizations):
            yield f"org_{n:04}", f"{_LAST_NAMES[n % len(_LAST_NAMES)]} Academy {n}"

    def users(self) -> Iterator[Row]:
        """Rows of users: id, email, first_name, last_name, role, is_active, organization_id."""
        chance = self._chance("users")
        for n in range(self.n_users):
            first, last = chance.choice(_FIRST_NAMES), chance.choice(_LAST_NAMES)
            email = f"{first}.{last}.{n}@example.org".lower()
            role = "ADMIN" if n % 200 == 0 else "INSTRUCTOR" if n % 25 == 0 else "STUDENT"
            organization = f"org_{chance.randrange(self.n_organizations):04}"
            yield _user(n), email, first, last, role, n % 10 != 9, organization  # noqa: PLR2004

    def user_sessions(self, now: datetime) -> Iterator[Row]:
        """Rows of user_sessions: id, user_id, token, expires_at; two thirds have expired."""
        chance = self._chance("user_sessions")
        for n in range(0, self.n_users, 2):
            expires_at = now + timedelta(days=chance.uniform(-60, 30))
            yield f"ses_{n:06}", _user(n), f"{chance.getrandbits(128):032x}", expires_at

    def courses(self) -> Iterator[Row]:
        """Rows of courses: id, title, description, status, category, difficulty, tags."""
        chance = self._chance("courses")
        for n in range(self.n_courses):
            subject, level = _SUBJECTS[n % len(_SUBJECTS)], chance.choice(_LEVELS)
            description = f"All about {subject}, {level.lower()} level."
            status = "DRAFT" if n % 12 == 11 else "PUBLISHED"  # noqa: PLR2004
            last = n == self.n_courses - 1
            tags = sorted({subject.lower(), level.lower(), chance.choice(_SUBJECTS).lower()})
            title = f"{subject} {n // len(_SUBJECTS) + 1}"
            yield _course(n), title, None if last else description, status, subject, level, tags

    def modules(self) -> Iterator[Row]:
        """Rows of modules: id, course_id, title, position."""
        for course in range(self.n_courses):
            for n in range(_MODULES):
                yield _module(course, n), _course(course), f"Part {n + 1}", n + 1

    def lessons(self) -> Iterator[Row]:
        """Rows of lessons: id, module_id, title, position."""
        for course in range(self.n_courses):
            for n in range(_MODULES * _LESSONS):
                module = _module(course, n // _LESSONS)
                yield _lesson(course, n), module, f"Lesson {n + 1}", n % _LESSONS + 1

    def enrollments(self) -> Iterator[Row]:
        """Rows of enrollments: id, user_id, course_id, status, progress in percent."""
        for user, course, done in self._lessons_done():
            percent = round(100 * done / (_MODULES * _LESSONS), 1)
            status = "COMPLETED" if done == _MODULES * _LESSONS else "ACTIVE"
            yield f"enr_{user:06}_{course:04}", _user(user), _course(course), status, percent

    def progress(self) -> Iterator[Row]:
        """Rows of progress: id, user_id, lesson_id; one for each lesson done."""
        for user, course, done in self._lessons_done():
            for n in range(done):
                yield f"prg_{user:06}_{course:04}_{n:02}", _user(user), _lesson(course, n)

    def _lessons_done(self) -> Iterator[tuple[int, int, int]]:
        chance = self._chance("lessons done")
        for user, courses in enumerate(self.courses_of_users):
            for course in courses:
                # A quarter finishes the course, the others stop anywhere.
                done = min(int(chance.random() * 16), _MODULES * _LESSONS)
                yield user, course, done

    def analytics_events(self, moments: Iterable[datetime], n: int) -> Iterator[Row]:
        """Rows of analytics_events: id, user_id, event_type, data, timestamp.

        Args:
            moments: the times, ascending.
            n: the number of rows; later rows have more users.
        """
        chance = self._chance("analytics_events")
        for number, moment in enumerate(moments):
            joined = 1 + int((self.n_users - 1) * (0.3 + 0.7 * number / n))
            user = int(chance.random() ** 2 * joined)
            kind = chance.choice(_KINDS)
            data = json.dumps(self._event_data(user, kind, chance))
            yield f"evt_{number:010}", _user(user), kind, data, moment

    def _event_data(self, user: int, kind: str, chance: Random) -> dict[str, Any]:
        courses = self.courses_of_users[user]
        device = chance.choice(_DEVICES)
        if kind == "search_performed" or not courses:
            return {"query": chance.choice(_SUBJECTS).lower(), "device": device}
        course = chance.choice(courses)
        entity = {"entityType": "course", "entityId": _course(course)}
        if kind.startswith("lesson"):
            lesson = chance.randrange(_MODULES * _LESSONS)
            entity = {"entityType": "lesson", "entityId": _lesson(course, lesson)}
        elif kind in ("module_completed", "quiz_submitted"):
            module = _module(course, chance.randrange(_MODULES))
            entity = {"entityType": "module", "entityId": module}
        return entity | {"courseId": _course(course), "device": device, **_detail(kind, chance)}


def _detail(kind: str, chance: Random) -> dict[str, int]:
    if kind == "quiz_submitted":
        return {"score": min(100, int(chance.gauss(74, 15)))}
    return {"seconds": int(chance.expovariate(1 / 300))}


def _user(n: int) -> str:
    return f"usr_{n:06}"


def _course(n: int) -> str:
    return f"crs_{n:04}"


def _module(course: int, n: int) -> str:
    return f"mod_{course:04}_{n:02}"


def _lesson(course: int, n: int) -> str:
    return f"les_{course:04}_{n:02}"
