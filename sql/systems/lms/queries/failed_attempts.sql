-- failed_attempts: how often a user failed a quiz, before it is offered again
-- since: 15
-- params: 'usr_000101', 'qui_0001'
-- params: 'usr_000102', 'qui_0002'
SELECT count(*)
FROM public.quiz_attempts AS a
WHERE a."userId" = $1 AND a."quizId" = $2 AND a.passed = false;
