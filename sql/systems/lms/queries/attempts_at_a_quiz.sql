-- attempts_at_a_quiz: attempts of a user at a quiz, newest first
-- since: 15
-- params: 'usr_000101', 'qui_0001'
-- params: 'usr_000102', 'qui_0002'
SELECT a.id, a.passed, a."startedAt"
FROM public.quiz_attempts AS a
WHERE a."userId" = $1 AND a."quizId" = $2
ORDER BY a."startedAt" DESC;
