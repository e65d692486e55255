"""Classic learners (book, chapter 1): support vector machines, decision trees, random forests, gradient boosting.

scikit-learn fits them; what it found is kept as arrays, and told from in NumPy alone.
"""
