-- newest_attempts_of_a_user: newest ten attempts of a user at any quiz
-- since: 15
-- params: 'usr_000101'
-- params: 'usr_000102'
SELECT a.id, a."quizId", a.passed, a."startedAt"
FROM public.quiz_attempts AS a
WHERE a."userId" = $1
ORDER BY a."startedAt" DESC
LIMIT 10;
