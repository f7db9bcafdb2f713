"""Actions, findings and plans, their execution, and the interface of a subject."""
