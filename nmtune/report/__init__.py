"""The judgement of a job: who beats whom, by more than chance, and how to say so."""
